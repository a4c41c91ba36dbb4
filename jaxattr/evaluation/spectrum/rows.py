"""What a batch of images gives: values of bands, errors, changes of the prediction."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxattr import attacks, metrics, scores
from jaxattr.attributions.spectral_importance import spectral_importance
from jaxattr.evaluation.runs.devices import Devices, first_rows
from jaxattr.evaluation.runs.work import Work
from jaxattr.evaluation.spectrum.settings import Settings
from jaxattr.typing import Array, LogitsFn


class Job(NamedTuple):
    """What the programs of one model have in common."""

    model: LogitsFn
    """On each of the devices."""
    settings: Settings
    devices: Devices


def _bands(job: Job, columns: Sequence[str], work: Work) -> dict[str, np.ndarray]:
    """Coalition values of the bands, and which images are right."""
    images, labels = job.devices.rows((work.pixels, work.labels))
    program = job.devices.program(_values, ("whole", "images", "images"))
    values, correct = program(
        *(job.model, images, labels),
        num_bands=job.settings.num_bands,
        norm=job.settings.norm,
        rows=job.settings.batch_size,
    )
    found = {"bands.values": values, "bands.correct": correct}
    return first_rows(found, len(work.labels))


@functools.partial(jax.jit, static_argnames=("num_bands", "norm", "rows"))
def _values(
    model: LogitsFn,
    images: Array,
    labels: Array,
    *,
    num_bands: int,
    norm: str,
    rows: int,
) -> tuple[Array, Array]:
    """``(n, 2^M)`` coalition values of each image, and which images are right."""

    def of_one(pair: tuple[Array, Array]) -> Array:
        image, label = pair
        return spectral_importance(
            model,
            image[None],
            label[None],
            num_bands=num_bands,
            norm=norm,
            batch_size=rows,
        ).coalition_values

    values = jax.lax.map(of_one, (images, labels))
    return values, scores.correct(model(images), labels)


@jax.jit
def _logits(model: LogitsFn, images: Array) -> Array:
    return model(images)


def _errors(job: Job, columns: Sequence[str], work: Work) -> dict[str, np.ndarray]:
    """Whether each image is taken for another class under each corruption."""
    # A program for each corruption and severity: too many to be one on every device.
    images, labels, keys = job.devices.rows((work.pixels, work.labels, work.keys))
    errors = metrics.corruption_errors(
        functools.partial(_logits, job.model),
        *(images, labels),
        key=keys,
        preset=job.settings.preset,
        batch_size=max(job.settings.batch_size, len(images)),
    )
    by_image = np.moveaxis(np.asarray(errors), -1, 0)
    return {"corruptions.errors": by_image[: len(work.labels)]}


@functools.partial(
    jax.jit, static_argnames=("attack", "epsilon", "num_steps", "batch_size")
)
def _change(
    model: LogitsFn,
    images: Array,
    labels: Array,
    keys: Array,
    *,
    attack: str,
    epsilon: float,
    num_steps: int,
    batch_size: int,
) -> Array:
    found = attacks.run(
        *(attack, model, images, labels),
        key=keys,
        epsilon=epsilon,
        num_steps=num_steps,
        batch_size=batch_size,
    )
    return metrics.prediction_change(model, images, found.images, labels)


def _changes(job: Job, columns: Sequence[str], work: Work) -> dict[str, np.ndarray]:
    """How far each attack moves the probability of the label."""
    images, labels, keys = job.devices.rows((work.pixels, work.labels, work.keys))
    program = job.devices.program(_change, ("whole", "images", "images", "images"))
    found = {
        f"{attack}.change": program(
            *(job.model, images, labels, keys),
            attack=attack,
            epsilon=job.settings.epsilon,
            num_steps=job.settings.num_steps,
            batch_size=job.devices.share(max(job.settings.batch_size, len(images))),
        )
        for attack in columns
    }
    return first_rows(found, len(work.labels))


KINDS = {"bands": _bands, "corruptions": _errors, "attacks": _changes}
"""What makes the rows of each table."""
