"""Photographs, methods and a classifier to maps, scores, figures and files."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr
from jaxattr._checks import check_integer
from jaxattr.boundaries.nearest import BoundaryPoint
from jaxattr.evaluation.boundary.outputs import NOT_FOUND
from jaxattr.evaluation.explain import outputs
from jaxattr.evaluation.explain.explanations import (
    Explanation,
    load_explanation,
    save_explanation,
)
from jaxattr.evaluation.explain.outputs import Report
from jaxattr.evaluation.explain.shared_search import find_points, without_search
from jaxattr.evaluation.methods.options import defaults
from jaxattr.evaluation.methods.requests import (
    Options,
    Requests,
    as_methods,
    method_record,
    prepare,
    read_references,
)
from jaxattr.evaluation.runs import figures, programs
from jaxattr.evaluation.runs.digests import digest, file_digest, key_data
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.models import Model, identity, image_size, label_name
from jaxattr.evaluation.runs.photographs import Photograph, Photographs, ResultFiles
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import Run
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.photographs.labels import resolve_label
from jaxattr.typing import Array


class _Job(NamedTuple):
    """What the photographs of a job have in common."""

    model: Model
    methods: Requests
    records: Mapping[str, Mapping[str, object]]
    """Label of a method to what it is and its options, as JSON takes them."""
    label: int | None
    key: Array
    batch_size: int
    curve_steps: int
    weights: str

    def record(self) -> dict[str, object]:
        """All that decides every file but for its method, as JSON takes it."""
        return {
            "model": [self.model.name, identity(self.model)],
            "labels": digest(np.asarray(self.model.labels or ())),
            "weights": self.weights,
            "key": key_data(self.key),
            "batch_size": self.batch_size,
            "curve_steps": self.curve_steps,
        }


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
    job = _Job(
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
            list(_explain_one(each, named, files, progress))
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
            drawn += _draw(photograph, explained, files, figure_files)
    return Report(
        tuple(rows), tuple(photographs.broken), tuple(not_found), tuple(drawn)
    )


def _by_label(
    job: _Job, photograph: Photograph, indices: Sequence[int]
) -> Iterator[tuple[_Job, Photograph]]:
    """The job for each class that is asked for, and what its files are called after."""
    if not indices:
        yield job, photograph
        return
    stems = photograph.with_endings or (photograph.stem,)
    for index, stem in zip(indices, stems, strict=True):
        yield job._replace(label=index), photograph._replace(stem=stem)


class _Explained(NamedTuple):
    explanation: Explanation
    seconds: float
    found: bool
    """False where the method explains at a boundary, and there is none."""
    file: pathlib.Path


def _explain_one(
    job: _Job, photograph: Photograph, files: ResultFiles, progress: Progress | None
) -> Iterator[_Explained]:
    """One photograph by each method, from the files that are there already or anew."""
    computation = _Computation(job, photograph)
    for name in job.methods:
        raw = files.folder / f"{photograph.stem}.{name}.npz"
        facts = files.write(
            f"{photograph.stem} {name}",
            {
                "photograph": str(photograph.path),
                "pixels": photograph.pixels,
                "label": job.label,
                "method": name,
                **job.records[name],
            },
            [raw],
            lambda: computation.explain(name, raw),
            label=f"{photograph.path.name}: {name}",
        )
        explanation, found = load_explanation(raw), bool(facts["found"])
        if progress and found and not np.isfinite(explanation.map).all():
            fault = "is not finite everywhere"
        elif progress and found and not explanation.map.any():
            fault = "is zero everywhere"
        else:
            fault = ""
        if progress and fault:
            progress.say(f"jaxattr: warning: {photograph.path}: {name} {fault}")
        yield _Explained(explanation, float(facts["seconds"]), found, raw)


class _Computation:
    """One photograph; what its methods share is computed once, and only if needed."""

    def __init__(self, job: _Job, photograph: Photograph) -> None:
        self._job, self._photograph = job, photograph

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """``(K,)``."""
        found = programs.probabilities(self._job.model, self._photograph.image)
        return np.asarray(found)[0]

    @functools.cached_property
    def label(self) -> int:
        """The class that is explained."""
        label = self._job.label
        return int(np.argmax(self.probabilities)) if label is None else label

    @functools.cached_property
    def points(self) -> dict[str, tuple[BoundaryPoint, float]]:
        """Boundary points of the methods that explain at one, and seconds."""
        job, labels = self._job, jnp.array([self.label], jnp.int32)
        given = (job.model, self._photograph.image, labels, job.key)
        return find_points(*given, job.methods, job.batch_size)

    def explain(self, name: str, file: pathlib.Path) -> dict[str, float | bool]:
        """Writes the map of one method; the seconds, and whether there is a boundary."""
        job, photograph = self._job, self._photograph
        method, options = job.methods[name]
        labels = jnp.array([self.label], jnp.int32)

        # The map.
        point, search_seconds = self.points.get(name, (None, 0.0))
        own = options if point is None else without_search(options)
        static, arrays = programs.split_options(own)
        maps, seconds = programs.timed(
            programs.attributions,
            *(job.model, photograph.image, labels, job.key),
            arrays if point is None else {**arrays, "search": point},
            explain=method.explain,
            static=static,
            batch_size=job.batch_size,
        )

        # Its scores, and the file.
        insertion, deletion = _curves(job, photograph.image, maps, labels)
        options = {k: v for k, v in options.items() if k != "references"}
        explanation = Explanation(
            photograph=str(photograph.path),
            model=job.model.name,
            weights=job.weights,
            method=name,
            image=np.asarray(photograph.image[0]),
            map=np.asarray(maps[0]),
            label=self.label,
            label_name=label_name(job.model, self.label),
            probabilities=self.probabilities,
            options=defaults(method) | options,
            key_data=np.asarray(jax.random.key_data(job.key)),
            batch_size=job.batch_size,
            insertion=insertion,
            deletion=deletion,
            version=jaxattr.__version__,
        )
        save_explanation(file, explanation)
        found = point is None or bool(point.found[0])
        return {"seconds": seconds + search_seconds, "found": found}


def _curves(
    job: _Job, images: Array, maps: Array, labels: Array
) -> tuple[np.ndarray, np.ndarray]:
    """Insertion and deletion of one image; empty where none is asked for."""
    if not job.curve_steps:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    insertion, deletion = programs.curves(
        *(job.model, images, maps, labels),
        num_steps=job.curve_steps,
        batch_size=job.batch_size,
    )
    return np.asarray(insertion[0]), np.asarray(deletion[0])


def _draw(
    photograph: Photograph,
    explained: Sequence[Sequence[_Explained]],
    files: ResultFiles,
    figure_files: FigureFiles,
) -> list[pathlib.Path]:
    """Writes the figures of one photograph, a row a class."""
    rows = [[d.explanation for d in of_label] for of_label in explained]
    drawings = outputs.figure_files(
        files.folder / photograph.stem, curves=bool(rows[0][0].insertion.size)
    )
    made = [path for drawing in drawings for path in figure_files.paths(drawing)]
    files.write(
        f"{photograph.stem} figures",
        {
            "explanations": [
                file_digest(d.file) for of_label in explained for d in of_label
            ],
            "figures": figure_files._asdict(),
        },
        made,
        lambda: outputs.draw_photograph(drawings, rows, figure_files),
    )
    return made
