"""Which frequencies models live on, and how robust they are, over a set of images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxattr import corruptions, metrics
from jaxattr._checks import check_integer, fail
from jaxattr.evaluation.runs.batches import chunks
from jaxattr.evaluation.runs.devices import Devices
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.image_sets import Arrays, ImageSet, from_arrays
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.read_ahead import Workers
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.evaluation.runs.work import IMAGES_PER_PART, Plan, Task, fill
from jaxattr.evaluation.spectrum.gather import ModelSpectrum, Table, Tables, gather
from jaxattr.evaluation.spectrum.rows import KINDS, Job
from jaxattr.evaluation.spectrum.settings import Settings
from jaxattr.frequencies.bands import band_masks
from jaxattr.games import shapley
from jaxattr.typing import LogitsFn

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
    workers: Workers = None,
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
      workers: who reads images while the devices compute: a number of threads, by
        default one a core and at most 16, or ``"processes:N"``.
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
        job = Job(devices.whole(model), settings, devices)
        tasks = [
            Task(
                f"{name} {kind}",
                *table,
                functools.partial(KINDS[kind], job),
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
