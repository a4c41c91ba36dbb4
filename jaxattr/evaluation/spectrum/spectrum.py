"""Which frequencies models live on, and how robust they are, over a set of images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxattr import attacks, corruptions, metrics, scores
from jaxattr._checks import check_inputs, check_integer, fail
from jaxattr.attributions.spectral_importance import (
    SpectralImportance,
    importance_of_values,
    spectral_importance,
)
from jaxattr.evaluation.runs.devices import Devices
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.image_sets import Arrays
from jaxattr.evaluation.runs.parts import Parts, chunks, gather
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.frequencies.bands import band_masks
from jaxattr.games import shapley
from jaxattr.typing import Array, LogitsFn


class Settings(NamedTuple):
    """What is measured, and how."""

    num_bands: int = 8
    norm: str = "linf"
    corrupted: bool = False
    """Errors under the 15 corruptions at 5 severities: 75 passes an image."""
    preset: str = "imagenet"
    """Which severities; see ``corruptions.corrupt``."""
    attacked: tuple[str, ...] = ()
    """Names of attacks, whose mean prediction error is measured."""
    epsilon: float = 2 / 255
    num_steps: int = 10
    seed: int = 0
    batch_size: int = 16
    """The most model rows in one call of one device."""
    images_per_part: int = 4
    """How many images are done between one save and the next."""


class ModelSpectrum(NamedTuple):
    """What was measured of one model."""

    name: str
    importance: SpectralImportance
    interactions: np.ndarray
    """``(M, M)``: Shapley interactions of the mean game."""
    correct: np.ndarray
    """``(N,)`` bool: right on the clean image."""
    errors: np.ndarray | None
    """``(15, 5, N)`` bool: wrong under each corruption and severity."""
    changes: Mapping[str, np.ndarray]
    """Attack to ``(N,)`` changes of the probability of the label."""


def measure(
    models: Mapping[str, LogitsFn],
    images: Mapping[str, Arrays] | Arrays,
    labels: Mapping[str, Arrays] | Arrays,
    settings: Settings,
    *,
    parts: Parts,
    mesh: Mesh | None = None,
    progress: Progress | None = None,
) -> list[ModelSpectrum]:
    """Measures each model on the same photographs, part by part.

    Args:
      models: name to a callable pytree, images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, or by name of a model where sizes differ.
      labels: integers ``(N,)``, or by name of a model.
      settings: what to measure.
      parts: where parts are kept: what is there is not done again.
      mesh: the images of a part lie on all of its devices, models on each of them; by
        default one device. It decides no number.
      progress: where it is reported, one item a part; see ``num_parts``.

    Returns:
      One ``ModelSpectrum`` a model, in their order.

    Raises:
      ValueError: shapes that do not fit, or more bands than the images allow.
    """
    check_settings(settings)
    return [
        _measure_one(
            name,
            model,
            images[name] if isinstance(images, Mapping) else images,
            labels[name] if isinstance(labels, Mapping) else labels,
            settings,
            parts,
            Devices(mesh),
            progress,
        )
        for name, model in models.items()
    ]


def check_settings(settings: Settings) -> None:
    """Refuses what would fail after work has begun.

    Raises:
      ValueError: no band, too many to enumerate, or an unknown attack.
      ImportError: corruptions are asked for, and their photographs are missing.
    """
    if check_integer("num_bands", settings.num_bands) > shapley.MAX_PLAYERS:
        what = f"at most {shapley.MAX_PLAYERS}, each doubles the model passes"
        raise fail("num_bands", what, settings.num_bands)
    if settings.corrupted:
        corruptions.frost_folder()


def num_parts(num_models: int, num_images: int, settings: Settings) -> int:
    """How many parts ``measure`` has."""
    kinds = 1 + settings.corrupted + bool(settings.attacked)
    return num_models * kinds * -(-num_images // settings.images_per_part)


def mean_corruption_errors(
    spectra: Sequence[ModelSpectrum], reference: str
) -> dict[str, float]:
    """mCE by model, against one of them, or against ``alexnet`` as published."""
    by_name = {s.name: jnp.asarray(s.errors) for s in spectra if s.errors is not None}
    published = reference == "alexnet"
    against = jnp.asarray(metrics.ALEXNET_ERRORS) if published else by_name[reference]
    return {
        name: float(metrics.mean_corruption_error(errors, against))
        for name, errors in by_name.items()
    }


def _measure_one(
    name: str,
    model: LogitsFn,
    images: Arrays,
    labels: Arrays,
    settings: Settings,
    parts: Parts,
    devices: Devices,
    progress: Progress | None,
) -> ModelSpectrum:
    pixels, classes = check_inputs(images, labels)
    num_images, height, width, _ = pixels.shape
    band_masks(height, width, settings.num_bands, norm=settings.norm)
    known = {"model": name, "weights": digest(model)}
    job = _Job(devices.whole(model), settings, devices)
    key = jax.random.key(settings.seed)

    def parts_of(
        kind: str,
        made_from: Mapping[str, object],
        compute: Callable[[Array, Array, Array], dict[str, Array]],
    ) -> list[dict[str, np.ndarray]]:
        """``compute(images, labels, keys)`` of one chunk after the other."""
        made = []
        for chunk in chunks(num_images, settings.images_per_part, key):
            batch = pixels[chunk.index], classes[chunk.index]
            about = {
                **known,
                **made_from,
                "kind": kind,
                "images": digest([np.asarray(array) for array in batch]),
            }
            one = functools.partial(_spread, devices, compute, *batch, chunk.keys)
            made.append(
                chunk.make(parts, f"{name} {kind}", about, one, progress=progress)
            )
        return made

    def together(made: list[dict[str, np.ndarray]], field: str) -> np.ndarray:
        return gather(made, field, num_images, axis=-1)

    # Coalition values of the bands.
    done = parts_of(
        "bands",
        {"num_bands": settings.num_bands, "norm": settings.norm},
        lambda images, labels, _: _table(job, images, labels),
    )
    values = together(done, "values")
    importance = importance_of_values(jnp.asarray(values))
    correct, errors, changes = together(done, "correct"), None, {}

    # Robustness.
    if settings.corrupted:
        done = parts_of(
            "corruptions",
            {"preset": settings.preset, "seed": settings.seed},
            functools.partial(_errors, job),
        )
        errors = together(done, "errors")
    if settings.attacked:
        made_from = {
            "attacked": settings.attacked,
            "seed": settings.seed,
            "epsilon": settings.epsilon,
            "num_steps": settings.num_steps,
        }
        done = parts_of(
            "attacks",
            made_from,
            functools.partial(_changes, job),
        )
        changes = {attack: together(done, attack) for attack in settings.attacked}
    return ModelSpectrum(
        name,
        jax.tree.map(np.asarray, importance),
        np.asarray(shapley.shapley_interactions(importance.coalition_values)),
        correct,
        errors,
        changes,
    )


class _Job(NamedTuple):
    """What the programs of one model have in common."""

    model: LogitsFn
    """On each of the devices."""
    settings: Settings
    devices: Devices


def _spread(
    devices: Devices,
    compute: Callable[[Array, Array, Array], dict[str, Array]],
    images: Array,
    labels: Array,
    keys: Array,
) -> dict[str, np.ndarray]:
    """What is computed of images that lie on all devices."""
    made = compute(*devices.rows((images, labels, keys)))
    return {field: np.asarray(x)[..., : len(images)] for field, x in made.items()}


def _table(job: _Job, images: Array, labels: Array) -> dict[str, Array]:
    program = job.devices.program(_values, ("whole", "images", "images"))
    values, correct = program(
        *(job.model, images, labels),
        num_bands=job.settings.num_bands,
        norm=job.settings.norm,
        rows=job.settings.batch_size,
    )
    return {"values": values.T, "correct": correct}


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


def _errors(job: _Job, images: Array, labels: Array, keys: Array) -> dict[str, Array]:
    # A program for each corruption and severity: too many to be one on every device.
    return {
        "errors": metrics.corruption_errors(
            functools.partial(_logits, job.model),
            images,
            labels,
            key=keys,
            preset=job.settings.preset,
            batch_size=max(job.settings.batch_size, len(images)),
        )
    }


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


def _changes(job: _Job, images: Array, labels: Array, keys: Array) -> dict[str, Array]:
    program = job.devices.program(_change, ("whole", *["images"] * 3))
    return {
        attack: program(
            *(job.model, images, labels, keys),
            attack=attack,
            epsilon=job.settings.epsilon,
            num_steps=job.settings.num_steps,
            batch_size=job.devices.share(max(job.settings.batch_size, len(images))),
        )
        for attack in job.settings.attacked
    }
