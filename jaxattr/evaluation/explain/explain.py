"""Photographs, methods and a classifier to maps, scores, figures and files."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax

from jaxattr._checks import check_integer
from jaxattr.evaluation.boundary.outputs import NOT_FOUND
from jaxattr.evaluation.explain import outputs
from jaxattr.evaluation.explain.one_photograph import Job, draw_photograph, explain_one
from jaxattr.evaluation.explain.outputs import Report
from jaxattr.evaluation.methods.requests import (
    Options,
    as_methods,
    method_record,
    prepare,
    read_references,
)
from jaxattr.evaluation.runs import figures, programs
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.models import Model, image_size
from jaxattr.evaluation.runs.photographs import Photograph, Photographs, ResultFiles
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import Run
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.photographs.labels import resolve_label


def explain_photographs(
    paths: Iterable[str | os.PathLike[str]],
    classifier: Model,
    methods: Mapping[str, Options],
    *,
    out: str | os.PathLike[str],
    label: str | Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 8,
    curve_steps: int = 224,
    references: str | os.PathLike[str] | None = None,
    weights: str = "default",
    draw: bool = True,
    shard: Shard = WHOLE,
    figure_files: FigureFiles = DEFAULT,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Report:
    """Explains photographs one after the other and saves each as soon as it is done.

    Every photograph is explained with the key of ``seed``, so it has the same map
    whichever others are explained with it. Each method is compiled once. Methods that
    begin with the same search for a boundary share what it found: ``bsg`` too is then
    given the point that ``nearest_boundary`` finds with this key.

    Killed at any moment and called again with the same arguments it goes on where it
    was; files that other arguments, weights or pixels made are written anew.

    Args:
      paths: photograph files.
      classifier: a model of ``jaxattr.models``.
      methods: names of registered methods to their options.
      out: the folder for ``STEM.METHOD.npz``, the figures, and the folder ``parts``,
        which says from what they were made; made if need be.
      label: an index or a name of a class, or several of them: then files are called
        ``STEM-INDEX.METHOD.npz``, unless another photograph is called so, and the
        figure has a row each, and one of the difference of the first two. By default
        what the model predicts.
      seed: of ``jax.random.key``.
      batch_size: the most model rows in one call.
      curve_steps: steps of the insertion and deletion curves, 0 for no curves.
      references: a folder of photographs, for methods that need references.
      weights: where the weights came from, for the record.
      draw: whether to draw ``STEM.png`` and ``STEM.curves.png``.
      shard: only this share of the photographs; files are those of a run of all.
      figure_files: formats, resolution and colours of the figures.
      run: the command, for ``run.json``.
      progress: where each map is reported; None for nowhere.

    Returns:
      A ``Report``, which names the photographs that could not be read, and those near
      which no boundary was found.

    Raises:
      ValueError: an unknown method, label or option, a method whose references are
        missing, or not one photograph that could be read.
      OSError: ``out`` cannot be written.
    """
    # Checking what is asked for.
    paths = list(paths)
    if not paths or not methods:
        raise ValueError("expected at least one photograph and one method")
    check_integer("batch_size", batch_size)
    check_integer("curve_steps", curve_steps, minimum=0)
    shape = (1, *image_size(classifier), 3)
    classes = programs.num_classes(classifier, shape)
    prepared = prepare(
        as_methods(methods),
        shape,
        classes,
        lambda: None if references is None else read_references(references, classifier),
    )
    asked = [label] if isinstance(label, str | int) else label or ()
    found = [resolve_label(str(x), classifier.labels, classes) for x in asked]
    indices = list(dict.fromkeys(found))
    endings = [str(index) for index in indices] if len(indices) > 1 else []
    photographs = Photographs(paths, classifier, out, endings=endings, shard=shard)
    key = jax.random.key(seed)
    if draw:
        figures.need_matplotlib()
    records = {name: method_record(*pair) for name, pair in prepared.items()}
    job = Job(
        *(classifier, prepared, records, None, key, batch_size, curve_steps, weights)
    )
    photographs.check_one_can_be_read()
    files = ResultFiles(out, job.record(), progress, run)

    # Explaining.
    rows: list[outputs.Row] = []
    drawn: list[pathlib.Path] = []
    not_found: list[str] = []
    for photograph in photographs:
        explained = [
            list(explain_one(each, named, files, progress))
            for each, named in _by_label(job, photograph, indices)
        ]
        done = [d for of_label in explained for d in of_label]
        rows += [outputs.table_row(d.explanation, d.seconds, d.file) for d in done]
        without = dict.fromkeys(d.explanation.method for d in done if not d.found)
        missing = ", ".join(without)
        if missing:
            maps = f"its maps are NaN ({missing})"
            not_found.append(f"{photograph.path}: {NOT_FOUND}; {maps}")
        if draw:
            drawn += draw_photograph(photograph, explained, files, figure_files)
    return Report(
        tuple(rows), tuple(photographs.broken), tuple(not_found), tuple(drawn)
    )


def _by_label(
    job: Job, photograph: Photograph, indices: Sequence[int]
) -> Iterator[tuple[Job, Photograph]]:
    """The job for each class that is asked for, and what its files are called after."""
    if not indices:
        yield job, photograph
        return
    stems = photograph.with_endings or (photograph.stem,)
    for index, stem in zip(indices, stems, strict=True):
        yield job._replace(label=index), photograph._replace(stem=stem)
