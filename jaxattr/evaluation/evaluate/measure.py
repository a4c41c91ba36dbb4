"""One model of an evaluation: maps and scores of all methods, kept part by part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxattr.evaluation.evaluate.metrics import AnyMetric, metrics_record
from jaxattr.evaluation.evaluate.results import MethodScores
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.methods.requests import Options, Requests, method_record
from jaxattr.evaluation.runs import devices, programs
from jaxattr.evaluation.runs.digests import digest, key_data
from jaxattr.evaluation.runs.image_sets import ImageSet
from jaxattr.evaluation.runs.models import as_argument, identity
from jaxattr.evaluation.runs.parts import Chunk, Parts, chunks, gather
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.typing import Array, LogitsFn

Part = dict[str, np.ndarray]
"""What is kept of some images."""

_EXPLAINED: tuple[devices.Role, ...] = ("whole", *["images"] * 3, "whole")
_MEASURED: tuple[devices.Role, ...] = ("whole", *["images"] * 4, "whole")
"""What the arguments of the programs are."""

_FAULTS = {
    "finite": "is not finite everywhere",
    "nonzero": "is zero everywhere",
}
"""A flag of a map that is not set, and what the warning says of it."""


class Job(NamedTuple):
    """What the models of an evaluation have in common."""

    metrics: tuple[AnyMetric, ...]
    key: Array
    batch_size: int
    size: int
    """How many images are explained together."""
    devices: devices.Devices
    given: ImageSet
    explained: str = "given"
    """Which class of an image: the one ``given``, or ``predicted`` by the model."""

    def record(self) -> dict[str, object]:
        """All that decides every part but for its model and method, for JSON."""
        return {
            "key": key_data(self.key),
            "batch_size": self.batch_size,
            "explained": self.explained,
        }


class _Batch(NamedTuple):
    """Images that are explained together."""

    images: Array
    labels: Array
    keys: Array


def measure(
    job: Job,
    name: str,
    model: LogitsFn,
    methods: Requests,
    parts: Parts | None,
    progress: Progress | None,
) -> Iterator[list[MethodScores]]:
    """One model: all methods on some images, then on the next.

    Args:
      job: what the models have in common.
      name: of the model.
      model: images to logits.
      methods: label to a method and its options.
      parts: where parts are kept; None for nowhere.
      progress: where it is reported; None for nowhere.

    Yields:
      What there is so far every now and then, and at last all of it.
    """
    known = {"model": name, "weights": identity(model), **job.record()}
    argument = job.devices.whole(as_argument(model))
    about = {
        label: {"method": label, **method_record(method, options)}
        for label, (method, options) in methods.items()
    }
    made: dict[str, list[Part]] = {label: [] for label in methods}
    predictions: list[Part] = []
    num_images = len(job.given.labels[name])
    next_table = 0.0
    for chunk in chunks(num_images, job.size, job.key):
        # The images, and which class of each is explained.
        pixels = job.given.pixels[name](chunk.index)
        labels = job.given.labels[name][chunk.index]
        made_from = {**known, "images": digest([pixels, labels])}
        images, keys = job.devices.rows((pixels, chunk.keys))
        predictions.append(
            chunk.make(
                parts,
                f"{name} predictions",
                {**made_from, "kind": "predictions"},
                lambda: _predictions(job, argument, images, labels),
            )
        )
        classes = job.devices.rows(np.asarray(predictions[-1]["explained"], np.int32))
        batch = _Batch(images, classes, keys)

        # The maps of each method, and their scores.
        for label, (method, options) in methods.items():
            part = chunk.make(
                parts,
                f"{name} {label}",
                {**made_from, **about[label], "metrics": metrics_record(job.metrics)},
                lambda: _scores(job, argument, method, options, batch),
                progress=progress,
                items=chunk.count,
            )
            made[label].append(part)
            if progress:
                _warn(job, chunk, part, f"the map of {label} on {name}", progress)

        # What there is so far.
        count = chunk.first + chunk.count
        if count < num_images and time.monotonic() < next_table:
            continue
        begin = time.monotonic()
        yield [
            _gathered(job, name, label, made_of, predictions, count)
            for label, made_of in made.items()
        ]
        # Of a large set the table is large: a tenth of the time at most goes into it.
        next_table = time.monotonic() + 10 * (time.monotonic() - begin)


def _warn(job: Job, chunk: Chunk, part: Part, what: str, progress: Progress) -> None:
    """Names the images whose maps say nothing."""
    for flag, fault in _FAULTS.items():
        where = np.flatnonzero(~part[flag][: chunk.count])
        names = [job.given.names[chunk.first + i] for i in where]
        if names:
            progress.say(f"jaxattr: warning: {', '.join(names)}: {what} {fault}")


def _predictions(
    job: Job, model: LogitsFn, images: Array, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """What the model predicts, the classes that are explained, and their probability."""
    program = job.devices.program(programs.probabilities, ("whole", "images"))
    probabilities = devices.first_rows(program(model, images), len(labels))
    predicted = probabilities.argmax(axis=1)
    explained = predicted if job.explained == "predicted" else labels
    return {
        "predicted": predicted,
        "explained": explained,
        "probability": probabilities[np.arange(len(explained)), explained],
    }


def _scores(
    job: Job, model: LogitsFn, method: Method, options: Options, batch: _Batch
) -> dict[str, np.ndarray | float]:
    """Maps of one method, and what each metric makes of them."""
    images, labels, keys = batch
    static, arrays = programs.split_options(options)
    arrays = job.devices.whole(arrays)
    rows = job.devices.share(job.batch_size)
    maps, seconds = programs.timed(
        job.devices.program(programs.attributions, _EXPLAINED),
        *(model, images, labels, keys, arrays),
        explain=method.explain,
        static=static,
        batch_size=rows,
    )
    found: dict[str, Array] = {
        "finite": jnp.isfinite(maps).all(axis=(1, 2, 3)),
        "nonzero": (maps != 0).any(axis=(1, 2, 3)),
    }
    for i, metric in enumerate(job.metrics):
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
        found |= {f"{i}.{field}": values for field, values in fields.items()}
    return {"seconds": seconds, **devices.first_rows(found, job.size)}


def _gathered(
    job: Job,
    model: str,
    label: str,
    made: Sequence[Part],
    predictions: Sequence[Part],
    num_images: int,
) -> MethodScores:
    """One method on the images so far."""
    measured: list[Part] = [{} for _ in job.metrics]
    for field in made[0]:
        place, dot, inner = field.partition(".")
        if dot:
            measured[int(place)][inner] = gather(made, field, num_images)
    seconds = sum(float(part["seconds"]) for part in made)
    return MethodScores(
        model,
        label,
        gather(predictions, "explained", num_images),
        gather(predictions, "predicted", num_images),
        gather(predictions, "probability", num_images),
        gather(made, "finite", num_images),
        len(made) * job.size / max(seconds, 1e-9),
        tuple(measured),
    )
