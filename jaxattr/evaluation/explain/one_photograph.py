"""One photograph explained by each method, its files written, its figures drawn."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr
from jaxattr.boundaries.nearest import BoundaryPoint
from jaxattr.evaluation.explain import outputs
from jaxattr.evaluation.explain.explanations import (
    Explanation,
    load_explanation,
    save_explanation,
)
from jaxattr.evaluation.explain.shared_search import find_points, without_search
from jaxattr.evaluation.methods.options import defaults
from jaxattr.evaluation.methods.requests import Requests
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.digests import digest, file_digest, key_data
from jaxattr.evaluation.runs.figures import FigureFiles
from jaxattr.evaluation.runs.models import Model, identity, label_name
from jaxattr.evaluation.runs.photographs import Photograph, ResultFiles
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.typing import Array


class Job(NamedTuple):
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


class Explained(NamedTuple):
    """The map of one method, and what it took."""

    explanation: Explanation
    seconds: float
    found: bool
    """False where the method explains at a boundary, and there is none."""
    file: pathlib.Path


def explain_one(
    job: Job, photograph: Photograph, files: ResultFiles, progress: Progress | None
) -> Iterator[Explained]:
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
        yield Explained(explanation, float(facts["seconds"]), found, raw)


class _Computation:
    """One photograph; what its methods share is computed once, and only if needed."""

    def __init__(self, job: Job, photograph: Photograph) -> None:
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
    job: Job, images: Array, maps: Array, labels: Array
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


def draw_photograph(
    photograph: Photograph,
    explained: Sequence[Sequence[Explained]],
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
