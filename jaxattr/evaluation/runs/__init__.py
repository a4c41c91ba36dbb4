"""What all jobs share.

A job takes models, methods and images to tables and figures in a folder ``out``. Killed
at any moment and started again with the same words it goes on where it was. What it is
made of, in the order in which a job needs it:

- ``models``: the models that a caller names, and what a job asks of one.
- ``image_sets``: images with names and classes, from arrays or a folder, for jobs that
  take many images at once.
- ``photographs``: the loop of jobs that take photograph files one after the other, and
  files of results that are written only once.
- ``settings``: ``settings.json``, which refuses a folder that holds other results.
- ``digests``: what a setting, an array or a file is, as a short text.
- ``parts``: results kept in ``out/parts`` as soon as they are computed, under a digest
  of all that decides them; and sets of images cut into chunks.
- ``programs``: the compiled functions, with the model as an argument.
- ``progress``, ``files``, ``tables``, ``figures``, ``bootstrap``: lines on the terminal;
  files that are whole or not there; text and CSV; figure files; intervals of means.
"""
