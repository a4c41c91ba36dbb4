"""What all jobs share.

A job takes models, methods and images to tables and figures in a folder ``out``. Killed
at any moment and started again with the same words it goes on where it was. What it is
made of, in the order in which a job needs it:

- ``models``: the models that a caller names, and what a job asks of one.
- ``image_sets``: images with names and classes, from arrays or a folder, for jobs that
  take many images at once; ``manifest``: which photographs, in which places, and what was
  in them, so that none is opened to find out.
- ``batches``, ``shards``: a set cut into what is computed and what is kept together, by
  the places of the images; the share of one process of many.
- ``rows``: results, a row an image, in files that many processes add to.
- ``work``: the loop of jobs over sets: computes the rows that are not there.
- ``photographs``: the loop of jobs that take photograph files one after the other, and
  files of results that are written only once; ``parts``: what each was made from.
- ``settings``: ``settings.json``, which refuses a folder that holds other results;
  ``merging``: what is missing from a folder that many processes fill.
- ``digests``: what a setting, an array or a file is, as a short text.
- ``devices``: images over all devices, a model on each of them.
- ``read_ahead``, ``readers``, ``grain_reading``, ``plain_reading``, ``outcomes``,
  ``worker_processes``: what comes next is read meanwhile.
- ``sources``: data sets of others.
- ``programs``: the compiled functions, with the model as an argument.
- ``progress``, ``files``, ``tables``, ``figures``, ``bootstrap``: lines on the terminal;
  files that are whole or not there; text and CSV; figure files; intervals of means.
"""
