"""Photographs, methods and a classifier to maps, scores, figures and files."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr
from jaxattr import metrics
from jaxattr._checks import check_integer
from jaxattr.evaluation.boundary.points import find_points, without_search
from jaxattr.evaluation.explain import figures
from jaxattr.evaluation.explain.explanations import Explanation, save_explanation
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import defaults
from jaxattr.evaluation.methods.requests import as_methods, prepare, read_references
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.files import make_folder, unique_stems
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.photographs.labels import resolve_label
from jaxattr.photographs.reading import read_photograph


class Row(NamedTuple):
    """One line of the table: one photograph by one method."""

    photograph: str
    label: str
    probability: float
    method: str
    insertion: float
    """Area under the insertion curve, NaN where none was asked for."""
    deletion: float
    seconds: float
    """To explain, compilation apart; a boundary search that is shared counts for each."""
    file: pathlib.Path
    """The ``.npz`` with the raw map."""


class Report(NamedTuple):
    """What came of a job."""

    rows: tuple[Row, ...]
    broken: tuple[str, ...]
    """One line for each photograph that could not be read: which, and why."""
    not_found: tuple[str, ...]
    """One line for each photograph near which no boundary was found, and what of it."""
    figures: tuple[pathlib.Path, ...]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows for ``format_table``; scores only where there are curves."""
        columns = {
            "photograph": [row.photograph for row in self.rows],
            "class": [row.label for row in self.rows],
            "probability": [f"{row.probability:.1%}" for row in self.rows],
            "method": [row.method for row in self.rows],
            "insertion": [f"{row.insertion:.3f}" for row in self.rows],
            "deletion": [f"{row.deletion:.3f}" for row in self.rows],
            "seconds": [f"{row.seconds:.1f}" for row in self.rows],
        }
        if np.isnan(self.rows[0].insertion):
            del columns["insertion"], columns["deletion"]
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


class _Job(NamedTuple):
    classifier: Any
    methods: dict[str, tuple[registry.Method, dict[str, Any]]]
    label: int | None
    key: jax.Array
    batch_size: int
    curve_steps: int
    weights: str


def explain_photographs(
    paths: Iterable[str | os.PathLike[str]],
    classifier: Any,
    methods: Mapping[str, Mapping[str, Any]],
    *,
    out: str | os.PathLike[str],
    label: str | None = None,
    seed: int = 0,
    batch_size: int = 8,
    curve_steps: int = 224,
    references: str | os.PathLike[str] | None = None,
    weights: str = "default",
    draw: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Explains photographs one after the other and saves each as soon as it is done.

    Every photograph is explained with the key of ``seed``, so it has the same map
    whichever others are explained with it. Each method is compiled once. Methods that
    begin with the same search for a boundary share what it found: ``bsg`` too is then
    given the point that ``nearest_boundary`` finds with this key.

    Args:
      paths: photograph files.
      classifier: a model of ``jaxattr.models``.
      methods: names of registered methods to their options.
      out: the folder for ``STEM.METHOD.npz`` and the figures; made if need be.
      label: an index or a name of a class; by default what the model predicts.
      seed: of ``jax.random.key``.
      batch_size: the most model rows in one call.
      curve_steps: steps of the insertion and deletion curves, 0 for no curves.
      references: a folder of photographs, for methods that need references.
      weights: where the weights came from, for the record.
      draw: whether to draw ``STEM.png`` and ``STEM.curves.png``.
      progress: whom to tell; by default nobody.

    Returns:
      A ``Report``, which names the photographs that could not be read, and those near
      which no boundary was found.

    Raises:
      ValueError: an unknown method, label or option, a method whose references are
        missing, or not one photograph that could be read.
      OSError: ``out`` cannot be written.
    """
    files = [pathlib.Path(path) for path in paths]
    if not files or not methods:
        raise ValueError("expected at least one photograph and one method")
    check_integer("batch_size", batch_size)
    check_integer("curve_steps", curve_steps, minimum=0)
    job = _Job(
        classifier,
        _prepare(methods, classifier, references),
        None if label is None else _find_label(label, classifier),
        jax.random.key(seed),
        batch_size,
        curve_steps,
        weights,
    )
    folder = make_folder(out)
    rows: list[Row] = []
    drawn: list[pathlib.Path] = []
    broken: list[str] = []
    not_found: list[str] = []
    for path, stem in zip(files, unique_stems(files), strict=True):
        try:
            image = _as_seen(path, classifier)
        except ValueError as error:
            broken.append(str(error))
            continue
        done, missed = [], []
        for explanation, seconds, found in _explain_one(job, path, image, progress):
            missed += [] if found else [explanation.method]
            raw = folder / f"{stem}.{explanation.method}.npz"
            save_explanation(raw, explanation)
            done.append(explanation)
            rows.append(_row(explanation, seconds, raw))
        if missed:
            maps = f"its maps are NaN ({', '.join(missed)})"
            not_found.append(f"{path}: no image of another class was found; {maps}")
        if draw:
            drawn += figures.draw_photograph(folder / stem, done)
    if not rows:
        several = f"none of {len(files)} photographs could be read; the first: "
        raise ValueError((several if len(files) > 1 else "") + broken[0])
    return Report(tuple(rows), tuple(broken), tuple(not_found), tuple(drawn))


def _prepare(
    methods: Mapping[str, Mapping[str, Any]], classifier: Any, references: Any
) -> dict[str, tuple[registry.Method, dict[str, Any]]]:
    """Methods with all options that they are given, seen to be good ones."""
    shape = (1, *_size(classifier), 3)
    return prepare(
        as_methods(methods),
        shape,
        programs.num_classes(classifier, shape),
        lambda: None if references is None else read_references(references, classifier),
    )


def _explain_one(job: _Job, path: pathlib.Path, image: jax.Array, progress: Any):
    """Yields ``(explanation, seconds, found)`` for each method."""
    probabilities = np.asarray(programs.probabilities(job.classifier, image))[0]
    label = int(np.argmax(probabilities)) if job.label is None else job.label
    labels = jnp.array([label], jnp.int32)
    given = (job.classifier, image, labels, job.key)
    if progress:
        progress.doing(path.name)
    points = find_points(*given, job.methods, job.batch_size)
    for name, (method, options) in job.methods.items():
        if progress:
            progress.doing(f"{path.name}: {name}")
        point, search_seconds = points.get(name, (None, 0.0))
        own = options if point is None else without_search(options)
        static, arrays = programs.split_options(own)
        maps, seconds = programs.timed(
            programs.attributions,
            *given,
            arrays if point is None else arrays | {"search": point},
            explain=method.explain,
            static=static,
            batch_size=job.batch_size,
        )
        seconds += search_seconds
        insertion, deletion = _curves(job, image, maps, labels)
        values = np.asarray(maps[0])
        found = point is None or bool(point.found[0])
        if progress and found and not np.isfinite(values).all():
            progress.say(f"jaxattr: warning: {path}: {name} is not finite everywhere")
        if progress and found and not values.any():
            progress.say(f"jaxattr: warning: {path}: {name} is zero everywhere")
        options = {k: v for k, v in options.items() if k != "references"}
        yield (
            Explanation(
                photograph=str(path),
                model=job.classifier.name,
                weights=job.weights,
                method=name,
                image=np.asarray(image[0]),
                map=values,
                label=label,
                label_name=_label_name(job.classifier, label),
                probabilities=probabilities,
                options=defaults(method) | options,
                key_data=np.asarray(jax.random.key_data(job.key)),
                batch_size=job.batch_size,
                insertion=insertion,
                deletion=deletion,
                version=jaxattr.__version__,
            ),
            seconds,
            found,
        )
        if progress:
            progress.finished(f"{path.name}: {name}, {seconds:.1f} s")


def _curves(job: _Job, image: Any, maps: Any, labels: Any):
    if not job.curve_steps:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    both = programs.curves(
        job.classifier,
        image,
        maps,
        labels,
        num_steps=job.curve_steps,
        batch_size=job.batch_size,
    )
    return tuple(np.asarray(curve[0]) for curve in both)


def _row(explanation: Explanation, seconds: float, file: pathlib.Path) -> Row:
    def area(curve: np.ndarray) -> float:
        if not curve.size:
            return float("nan")
        return float(metrics.area_under_curve(jnp.asarray(curve[None]))[0])

    return Row(
        photograph=pathlib.Path(explanation.photograph).name,
        label=explanation.label_name,
        probability=explanation.probability,
        method=explanation.method,
        insertion=area(explanation.insertion),
        deletion=area(explanation.deletion),
        seconds=seconds,
        file=file,
    )


def _as_seen(path: pathlib.Path, classifier: Any) -> jax.Array:
    """A photograph as the model sees it, ``(1, H, W, 3)``."""
    image = np.asarray(classifier.preprocess(read_photograph(path)))
    return jnp.asarray(image, jnp.float32)[None]


def _size(classifier: Any) -> tuple[int, int]:
    size = classifier.input_size
    return (size, size) if isinstance(size, int) else tuple(size)[:2]


def _find_label(label: str, classifier: Any) -> int:
    num_classes = programs.num_classes(classifier, (1, *_size(classifier), 3))
    return resolve_label(str(label), classifier.labels, num_classes)


def _label_name(classifier: Any, label: int) -> str:
    return classifier.labels[label] if classifier.labels else f"class {label}"
