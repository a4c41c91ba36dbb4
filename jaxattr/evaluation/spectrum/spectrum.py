"""Which frequencies models live on, and how robust they are, over a set of images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxattr import attacks, corruptions, metrics, scores
from jaxattr._checks import check_integer, fail
from jaxattr.attributions.spectral_importance import spectral_importance
from jaxattr.evaluation.runs.batches import chunks
from jaxattr.evaluation.runs.devices import Devices, first_rows
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.image_sets import Arrays, ImageSet, from_arrays
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.evaluation.runs.work import IMAGES_PER_PART, Plan, Task, Work, fill
from jaxattr.evaluation.spectrum.gather import ModelSpectrum, Table, Tables, gather
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
    images_per_batch: int = 4
    """How many images are done together."""


SoFar = Callable[[Callable[[], list[ModelSpectrum]]], None]


def tables_of(
    models: Mapping[str, LogitsFn], settings: Settings, files: RowFiles
) -> dict[str, Tables]:
    """Where the results of each model are kept.

    Args:
      models: name to model.
      settings: what is measured.
      files: the folder.
    """
    kinds: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
        "bands": (
            {"num_bands": settings.num_bands, "norm": settings.norm},
            ("bands",),
        )
    }
    if settings.corrupted:
        about: dict[str, object] = {"preset": settings.preset, "seed": settings.seed}
        kinds["corruptions"] = about, ("corruptions",)
    if settings.attacked:
        about = {
            "seed": settings.seed,
            "epsilon": settings.epsilon,
            "num_steps": settings.num_steps,
        }
        kinds["attacks"] = about, settings.attacked
    found: dict[str, Tables] = {}
    for name, model in models.items():
        weights = {"weights": digest(model)}
        found[name] = {
            kind: Table(
                files.table(f"{name} {kind}", {**weights, **about, "kind": kind}),
                columns,
            )
            for kind, (about, columns) in kinds.items()
        }
    return found


def measure(
    models: Mapping[str, LogitsFn],
    images: Mapping[str, Arrays] | Arrays | ImageSet,
    labels: Mapping[str, Arrays] | Arrays | None,
    settings: Settings,
    *,
    files: RowFiles | None = None,
    images_per_part: int = IMAGES_PER_PART,
    shard: Shard = WHOLE,
    mesh: Mesh | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    gone: list[int] | None = None,
    so_far: SoFar | None = None,
) -> list[ModelSpectrum]:
    """Measures each model on the same photographs, part by part.

    Args:
      models: name to a callable pytree, images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, or by name of a model where sizes differ; or a set.
      labels: integers ``(N,)``, or by name of a model; None for those of a set.
      settings: what to measure.
      files: where results are kept: what is there is not done again. By default in
        memory.
      images_per_part: the most images in one file of results.
      shard: which share of the images is done.
      mesh: the images of a batch lie on all of its devices, models on each of them; by
        default one device. It decides no number.
      workers: threads that read images while the devices compute; by default one a core,
        at most 16.
      progress: where it is reported, one item an image, model and kind of result.
      gone: gets the images that are not there any more and are skipped.
      so_far: called after some images with a function that gives what is kept.

    Returns:
      One ``ModelSpectrum`` a model, in their order, of the images of the share.

    Raises:
      ValueError: shapes that do not fit, or more bands than the images allow.
    """
    check_settings(settings)
    if isinstance(images, ImageSet):
        given = images
    else:
        given = from_arrays(images, labels, models)
        for name in models:
            check_size(given.pixels[name](np.arange(1)).shape, settings)
    files = RowFiles(None) if files is None else files
    tables = tables_of(models, settings, files)
    key, devices = jax.random.key(settings.seed), Devices(mesh)
    plan = Plan(settings.images_per_batch, key, images_per_part, shard, workers)
    own = [*chunks(given.places, plan.size, images_per_part, shard)]
    mine = np.concatenate([np.zeros(0, int), *own])
    if progress:
        progress.total = sum(map(len, tables.values())) * len(mine)

    def found() -> list[ModelSpectrum]:
        every = [
            gather(name, of, given.places[mine], given.ids(name)[mine]).spectrum
            for name, of in tables.items()
        ]
        there = [s for s in every if s is not None]
        return [dataclasses.replace(s, index=mine[s.index]) for s in there]

    for name, model in models.items():
        job = _Job(devices.whole(model), settings, devices)
        tasks = [
            Task(
                f"{name} {kind}",
                *table,
                functools.partial(_KINDS[kind], job),
            )
            for kind, table in tables[name].items()
        ]
        for _ in fill(given, name, tasks, plan, progress, gone):
            if so_far:
                so_far(found)
    return found()


def check_size(shape: tuple[int, ...], settings: Settings) -> None:
    """Refuses more bands than images ``(N, H, W, C)`` allow.

    Raises:
      ValueError: so it is.
    """
    height, width = shape[1:3]
    band_masks(height, width, settings.num_bands, norm=settings.norm)


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


class _Job(NamedTuple):
    """What the programs of one model have in common."""

    model: LogitsFn
    """On each of the devices."""
    settings: Settings
    devices: Devices


def _bands(job: _Job, columns: Sequence[str], work: Work) -> dict[str, np.ndarray]:
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


def _errors(job: _Job, columns: Sequence[str], work: Work) -> dict[str, np.ndarray]:
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


def _changes(job: _Job, columns: Sequence[str], work: Work) -> dict[str, np.ndarray]:
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


_KINDS = {"bands": _bands, "corruptions": _errors, "attacks": _changes}
"""What makes the rows of each table."""
