"""Which frequencies models live on, and how robust they are, over a set of images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import attacks, corruptions, metrics, scores
from jaxattr._checks import check_inputs, check_integer, fail
from jaxattr.attributions.spectral_importance import (
    SpectralImportance,
    importance_of_values,
    spectral_importance,
)
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.image_sets import Arrays
from jaxattr.evaluation.runs.notebook import table_html
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

    def _repr_html_(self) -> str:
        """In a notebook: a row a band, low frequencies first, and the score."""
        found, count = self.importance, len(self.correct)
        columns = found.values, found.standard_error, found.distribution
        rows = [
            [band, *(f"{number:.4f}" for number in numbers)]
            for band, numbers in enumerate(zip(*columns, strict=True))
        ]
        note = (
            f"{self.name}, {count:,} image{'s' * (count != 1)}: accuracy "
            f"{self.correct.mean():.1%}, spectral score {float(found.score):.3f}. "
            "Bands from low to high frequencies, values in nats."
        )
        header = ["band", "value", "standard error", "share"]
        return table_html(header, rows, note)


SoFar = Callable[[Callable[[], list[ModelSpectrum]]], None]


def measure(
    models: Mapping[str, LogitsFn],
    images: Mapping[str, Arrays] | Arrays,
    labels: Mapping[str, Arrays] | Arrays,
    settings: Settings,
    *,
    parts: Parts,
    progress: Progress | None = None,
    so_far: SoFar | None = None,
) -> list[ModelSpectrum]:
    """Measures each model on the same photographs, part by part.

    Args:
      models: name to a callable pytree, images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, or by name of a model where sizes differ.
      labels: integers ``(N,)``, or by name of a model.
      settings: what to measure.
      parts: where parts are kept: what is there is not done again.
      progress: where it is reported, one item a part; see ``num_parts``.
      so_far: called after some images with a function that gives what is done, the last
        model by its bands for the first images only.

    Returns:
      One ``ModelSpectrum`` a model, in their order.

    Raises:
      ValueError: shapes that do not fit, or more bands than the images allow.
    """
    check_settings(settings)
    done: list[ModelSpectrum] = []
    for name, model in models.items():

        def after(last: Callable[[], ModelSpectrum]) -> None:
            if so_far:
                so_far(lambda: [*done, last()])

        found = _measure_one(
            name,
            model,
            images[name] if isinstance(images, Mapping) else images,
            labels[name] if isinstance(labels, Mapping) else labels,
            settings,
            parts,
            progress,
            after,
        )
        done.append(found)
    return done


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
    progress: Progress | None,
    after: Callable[[Callable[[], ModelSpectrum]], None],
) -> ModelSpectrum:
    pixels, classes = check_inputs(images, labels)
    num_images, height, width, _ = pixels.shape
    band_masks(height, width, settings.num_bands, norm=settings.norm)
    known = {"model": name, "weights": digest(model)}
    key = jax.random.key(settings.seed)

    def parts_of(
        kind: str,
        made_from: Mapping[str, object],
        compute: Callable[[Array, Array, Array], Mapping[str, Array]],
        after_chunk: Callable[[list[dict[str, np.ndarray]], int], None] | None = None,
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
            one = functools.partial(compute, *batch, chunk.keys)
            made.append(
                chunk.make(parts, f"{name} {kind}", about, one, progress=progress)
            )
            if after_chunk:
                after_chunk(made, chunk.first + chunk.count)
        return made

    def together(made: list[dict[str, np.ndarray]], field: str) -> np.ndarray:
        return gather(made, field, num_images, axis=-1)

    def of_bands(made: list[dict[str, np.ndarray]], count: int) -> ModelSpectrum:
        importance = importance_of_values(
            jnp.asarray(gather(made, "values", count, axis=-1))
        )
        return ModelSpectrum(
            name,
            jax.tree.map(np.asarray, importance),
            np.asarray(shapley.shapley_interactions(importance.coalition_values)),
            gather(made, "correct", count),
            None,
            {},
        )

    # Coalition values of the bands.
    done = parts_of(
        "bands",
        {"num_bands": settings.num_bands, "norm": settings.norm},
        lambda images, labels, _: _table(model, images, labels, settings),
        lambda made, count: after(lambda: of_bands(made, count)),
    )
    found = of_bands(done, num_images)

    # Robustness.
    if settings.corrupted:
        done = parts_of(
            "corruptions",
            {"preset": settings.preset, "seed": settings.seed},
            lambda images, labels, keys: _errors(model, images, labels, keys, settings),
        )
        found = found._replace(errors=together(done, "errors"))
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
            lambda images, labels, keys: _changes(
                model, images, labels, keys, settings
            ),
        )
        changes = {attack: together(done, attack) for attack in settings.attacked}
        found = found._replace(changes=changes)
    return found


def _table(
    model: LogitsFn, images: Array, labels: Array, settings: Settings
) -> dict[str, Array]:
    values, correct = _values(
        *(model, images, labels),
        num_bands=settings.num_bands,
        norm=settings.norm,
        rows=settings.batch_size,
    )
    return {"values": values, "correct": correct}


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
    """``(2^M, n)`` coalition values of each image, and which images are right."""

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

    values = jax.lax.map(of_one, (images, labels)).T
    return values, scores.correct(model(images), labels)


@jax.jit
def _logits(model: LogitsFn, images: Array) -> Array:
    return model(images)


def _errors(
    model: LogitsFn, images: Array, labels: Array, keys: Array, settings: Settings
) -> dict[str, Array]:
    return {
        "errors": metrics.corruption_errors(
            functools.partial(_logits, model),
            images,
            labels,
            key=keys,
            preset=settings.preset,
            batch_size=max(settings.batch_size, len(images)),
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


def _changes(
    model: LogitsFn, images: Array, labels: Array, keys: Array, settings: Settings
) -> dict[str, Array]:
    return {
        attack: _change(
            model,
            images,
            labels,
            keys,
            attack=attack,
            epsilon=settings.epsilon,
            num_steps=settings.num_steps,
            batch_size=max(settings.batch_size, len(images)),
        )
        for attack in settings.attacked
    }
