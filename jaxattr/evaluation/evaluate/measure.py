"""One model of an evaluation: maps and scores of all methods, kept row by row."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxattr.evaluation.evaluate.gather import MAPS, PREDICTIONS, Tables
from jaxattr.evaluation.evaluate.job import Job
from jaxattr.evaluation.evaluate.maps import (
    KEPT,
    pack,
    unpack,
)
from jaxattr.evaluation.evaluate.metric import AnyMetric, column_of
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.methods.requests import Options, Requests
from jaxattr.evaluation.runs import devices, programs
from jaxattr.evaluation.runs.batches import Batch
from jaxattr.evaluation.runs.image_sets import ImageSet
from jaxattr.evaluation.runs.models import as_argument
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.rows import Rows
from jaxattr.evaluation.runs.work import Part, Task, Work, fill
from jaxattr.typing import Array, LogitsFn

_ROWS: tuple[devices.Role, ...] = ("images", "images", "images")
_EXPLAINED: tuple[devices.Role, ...] = ("whole", *_ROWS, "whole")
_MEASURED: tuple[devices.Role, ...] = ("whole", "images", *_ROWS, "whole")
"""What the arguments of the programs are."""

_FAULTS = {
    "finite": "is not finite everywhere",
    "nonzero": "is zero everywhere",
}
"""A flag of a map that is not set, and what the warning says of it."""


class _Batch(NamedTuple):
    """Images that are explained together."""

    images: Array
    labels: Array
    keys: Array


def measure(
    job: Job,
    model: LogitsFn,
    methods: Requests,
    tables: Tables,
    given: ImageSet,
    progress: Progress | None,
    gone: list[int],
) -> Iterator[None]:
    """One model: all methods on some images, then on the next.

    Args:
      job: what the models have in common.
      model: images to logits.
      methods: label to a method and its options.
      tables: where results are kept, and may be there.
      given: the images.
      progress: where it is reported; None for nowhere.
      gone: gets the images that are not there any more.

    Yields:
      After each batch.
    """
    name, argument = tables.model, job.devices.whole(as_argument(model))
    tasks = [
        Task(
            f"{name} predictions",
            tables.predictions,
            (PREDICTIONS,),
            lambda _, work: _predictions(job, argument, work),
            counts=False,
        )
    ]
    spread = _Spread(job)
    for label, pair in methods.items():
        if job.from_maps is None:
            explain = _last(functools.partial(_explained, job, argument, *pair, spread))
        else:
            of = tables.kept[label], given, name, label
            explain = functools.partial(_found, job, *of)
        compute = functools.partial(_method_rows, job, argument, *pair, spread, explain)
        columns = (MAPS, *tables.columns)
        tasks.append(Task(f"{name} {label}", tables.methods[label], columns, compute))
        if job.save_maps is not None:
            keep = functools.partial(_kept_rows, job.save_maps, explain)
            rows = tables.kept[label]
            tasks.append(
                Task(f"{name} {label} maps", rows, (KEPT,), keep, counts=False)
            )
    for batch, made in fill(given, name, tasks, job.plan, progress, gone):
        if progress:
            for label in methods:
                what = f"the map of {label} on {name}"
                _warn(given, batch, made[f"{name} {label}"], what, progress)
        yield


class _Spread:
    """A batch on the devices, once for all methods."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._last: tuple[Work, _Batch] | None = None

    def __call__(self, work: Work) -> _Batch:
        if self._last is None or self._last[0] is not work:
            predicted = work.results[next(iter(work.results))]
            classes = predicted[f"{PREDICTIONS}.explained"].astype(np.int32)
            rows = self._job.devices.rows((work.pixels, classes, work.keys))
            self._last = work, _Batch(*rows)
        return self._last[1]


def _warn(
    given: ImageSet, batch: Batch, part: Part, what: str, progress: Progress
) -> None:
    """Names the images whose maps say nothing."""
    for flag, fault in _FAULTS.items():
        bad = batch.index[~part[f"{MAPS}.{flag}"][batch.rows]]
        if len(bad):
            names = ", ".join(given.names[i] for i in bad)
            progress.say(f"jaxattr: warning: {names}: {what} {fault}")


def _predictions(job: Job, model: LogitsFn, work: Work) -> dict[str, np.ndarray]:
    """What the model predicts, the classes that are explained, and their probability."""
    program = job.devices.program(programs.probabilities, ("whole", "images"))
    images, labels = job.devices.rows(work.pixels), work.labels
    probabilities = devices.first_rows(program(model, images), len(labels))
    predicted = probabilities.argmax(axis=1)
    explained = predicted if job.explained == "predicted" else labels
    found = {
        "predicted": predicted,
        "explained": explained,
        "probability": probabilities[np.arange(len(explained)), explained],
    }
    return {f"{PREDICTIONS}.{field}": values for field, values in found.items()}


def _method_rows(
    job: Job,
    model: LogitsFn,
    method: Method,
    options: Options,
    spread: _Spread,
    explain: Explain,
    columns: Sequence[str],
    work: Work,
) -> dict[str, np.ndarray]:
    """The columns of a method that are missing."""
    wanted = {c: m for m in job.metrics if (c := column_of(m)) in columns}
    size = len(work.labels)
    made = functools.partial(explain, work)
    found = _scores(job, model, method, options, spread(work), wanted, made)
    seconds = np.full(size, float(found.pop(f"{MAPS}.seconds")) / size, np.float32)
    rows = devices.first_rows(found, size) | {f"{MAPS}.seconds": seconds}
    return {f: v for f, v in rows.items() if f.split(".")[0] in columns}


Explain = Callable[[Work], tuple[Array, float]]
"""The maps of a batch, and the seconds that they took."""


def _last(explain: Explain) -> Explain:
    """The same, where the batch that was asked for last is not explained again."""
    last: list[tuple[Work, tuple[Array, float]]] = []

    def remembered(work: Work) -> tuple[Array, float]:
        if not last or last[0][0] is not work:
            last[:] = [(work, explain(work))]
        return last[0][1]

    return remembered


def _explained(
    job: Job,
    model: LogitsFn,
    method: Method,
    options: Options,
    spread: _Spread,
    work: Work,
) -> tuple[Array, float]:
    """The method is run."""
    static, arrays = programs.split_options(options)
    images, labels, keys = spread(work)
    return programs.timed(
        job.devices.program(programs.attributions, _EXPLAINED),
        *(model, images, labels, keys, job.devices.whole(arrays)),
        explain=method.explain,
        static=static,
        batch_size=job.devices.share(job.batch_size),
    )


def _found(
    job: Job, rows: Rows, given: ImageSet, model: str, label: str, work: Work
) -> tuple[Array, float]:
    """The maps that were kept; how long they took is not known.

    Raises:
      ValueError: one of them is not there; its image is named.
    """
    batch = work.batch
    found = rows.find(batch.places, given.ids(model)[batch.index])
    lacking = found.missing(KEPT, len(batch.index))
    if lacking.any():
        first = given.names[batch.index[np.flatnonzero(lacking)[0]]]
        raise ValueError(
            f"{job.from_maps}: has no map of {label} on {model} for {first}"
        )
    maps = unpack(found.values, work.pixels.shape[-1])
    return job.devices.rows(batch.filled(maps)), float("nan")


def _kept_rows(
    detail: str, explain: Explain, columns: Sequence[str], work: Work
) -> dict[str, np.ndarray]:
    """The maps of a method as they are kept."""
    del columns
    maps, _ = explain(work)
    return pack(devices.first_rows(maps, len(work.labels)), detail)


def _scores(
    job: Job,
    model: LogitsFn,
    method: Method,
    options: Options,
    batch: _Batch,
    metrics: Mapping[str, AnyMetric],
    explain: Callable[[], tuple[Array, float]],
) -> dict[str, Array | float]:
    """What each metric makes of the maps of one method."""
    images, labels, keys = batch
    static, arrays = programs.split_options(options)
    arrays = job.devices.whole(arrays)
    rows = job.devices.share(job.batch_size)
    maps, seconds = explain()
    found: dict[str, Array | float] = {
        f"{MAPS}.seconds": seconds,
        f"{MAPS}.finite": jnp.isfinite(maps).all(axis=(1, 2, 3)),
        f"{MAPS}.nonzero": (maps != 0).any(axis=(1, 2, 3)),
    }
    for column, metric in metrics.items():
        if metric.needs_explainer:
            measured = job.devices.program(programs.measured_with_explainer, _MEASURED)
            fields = measured(
                *(model, images, maps, labels, keys, arrays),
                metric=metric,
                explain=method.explain,
                static=static,
                batch_size=rows,
            )
        else:
            measured = job.devices.program(programs.measured, _MEASURED[:-1])
            fields = measured(
                *(model, images, maps, labels, keys),
                metric=metric,
                batch_size=rows,
            )
        found |= {f"{column}.{field}": values for field, values in fields.items()}
    return found
