"""How far attacks of growing budget move the explanations of a set of images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jaxattr._checks import check_images, fail
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.methods.requests import Options, method_record
from jaxattr.evaluation.robustness.gather import (
    CHANCE_IMAGES,
    MethodRobustness,
    Tables,
    gather,
)
from jaxattr.evaluation.robustness.rows import Explain, Job, map_sizes, scored
from jaxattr.evaluation.robustness.settings import Settings, attacked, measures
from jaxattr.evaluation.runs.batches import Batch, chunks
from jaxattr.evaluation.runs.devices import Devices
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.image_sets import ImageSet
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.read_ahead import Workers
from jaxattr.evaluation.runs.readers import of_array
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.evaluation.runs.work import IMAGES_PER_PART, Plan, Task, fill
from jaxattr.typing import Array, LogitsFn


def check_settings(settings: Settings, shape: tuple[int, ...]) -> None:
    """Refuses what would fail after work has begun.

    Args:
      settings: what to do.
      shape: of the images, ``(N, H, W, C)``.

    Raises:
      ValueError: more pixels than fit in a map, or fit apart from each other.
    """
    maps = jax.ShapeDtypeStruct(shape[:3], jnp.float32)
    for measure in measures(settings.k, settings.window).values():
        jax.eval_shape(measure, maps, maps)


SoFar = Callable[[Callable[[], list[MethodRobustness]]], None]


def tables_of(
    classifier: LogitsFn,
    twin: LogitsFn,
    methods: Mapping[str, tuple[Method, Options]],
    settings: Settings,
    files: RowFiles,
    *,
    twin_name: str = "",
) -> dict[str, Tables]:
    """Where the results of each method are kept.

    Args:
      classifier: what is explained.
      twin: what the steps follow.
      methods: name to method and options.
      settings: what to do.
      files: the folder.
      twin_name: what tells the twin from others of the same weights.
    """
    weights = {"weights": digest(classifier)}
    attack = {
        "twin": [twin_name, digest(twin)],
        "budget": [settings.k, settings.window, settings.num_steps],
    }
    found = {}
    for name, (method, options) in methods.items():
        about = {**weights, **method_record(method, options), "seed": settings.seed}
        found[name] = Tables(
            files.table(f"{name} maps", {**about, "kind": "maps"}),
            files.table(name, {**about, **attack, "kind": "attacks"}),
        )
    return found


def measure(
    classifier: LogitsFn,
    twin: LogitsFn,
    images: ArrayLike | Array | ImageSet,
    names: Sequence[str],
    methods: Mapping[str, tuple[Method, Options]],
    settings: Settings,
    *,
    twin_name: str = "",
    files: RowFiles | None = None,
    images_per_part: int = IMAGES_PER_PART,
    shard: Shard = WHOLE,
    mesh: Mesh | None = None,
    workers: Workers = None,
    progress: Progress | None = None,
    gone: list[int] | None = None,
    so_far: SoFar | None = None,
) -> list[MethodRobustness]:
    """Attacks the explanation of what is predicted for each image, part by part.

    Args:
      classifier: a callable pytree, what is explained.
      twin: with curvature, what the steps follow; the classifier itself will do where
        it has some.
      images: float ``(N, H, W, C)`` in [0, 1], or a set of one model.
      names: of the images, for messages.
      methods: name to method and options.
      settings: what to do.
      twin_name: what tells the twin from others of the same weights.
      files: where results are kept: what is there is not done again. By default in
        memory.
      images_per_part: the most images in one file of results.
      shard: which share of the images is done.
      mesh: the images of a batch lie on all of its devices, models on each of them; by
        default one device. It decides no number.
      workers: who reads images while the devices compute: a number of threads, by
        default one a core and at most 16, or ``"processes:N"``.
      progress: where it is reported, one item an image and method.
      gone: gets the images that are not there any more and are skipped.
      so_far: called after some images with a function that gives what is kept, without
        chance levels.

    Returns:
      One ``MethodRobustness`` a method, of the images of the share.

    Raises:
      ValueError: shapes that do not fit; a map that holds NaN, naming its image.
    """
    if isinstance(images, ImageSet):
        given = images
    else:
        pixels = np.asarray(check_images(images))
        check_settings(settings, pixels.shape)
        given = unlabelled(pixels, names)
    (model_name,) = given.pixels
    files = RowFiles(None) if files is None else files
    tables = tables_of(classifier, twin, methods, settings, files, twin_name=twin_name)
    own = [*chunks(given.places, settings.images_per_batch, images_per_part, shard)]
    mine = np.concatenate([np.zeros(0, int), *own])
    if progress:
        progress.total = len(methods) * len(mine)
    ids = given.ids(model_name)[mine]

    def found(*, levels: bool) -> list[MethodRobustness]:
        every = [
            gather(name, of, settings, given.places[mine], ids, levels=levels).result
            for name, of in tables.items()
        ]
        return [
            dataclasses.replace(r, index=mine[r.index]) for r in every if len(r.index)
        ]

    devices = Devices(mesh)
    rows, key = devices.share(settings.batch_size), jax.random.key(settings.seed)
    job = Job(*devices.whole((classifier, twin)), settings, devices)
    plan = Plan(settings.images_per_batch, key, images_per_part, shard, workers)
    for name, (method, options) in methods.items():
        explain = Explain(method, tuple(sorted(options.items())), rows)
        jobs = (
            # Chance levels need whole maps: of the first photographs only.
            (tables[name].maps, ("maps",), map_sizes, given.before(CHANCE_IMAGES)),
            (tables[name].attacks, tuple(attacked(settings)), scored, given),
        )
        for table, columns, compute, some in jobs:
            task = Task(
                f"{name} {columns[0]}" if compute is map_sizes else name,
                *(table, columns, functools.partial(compute, job, explain)),
                counts=compute is scored,
            )
            for batch, made in fill(some, model_name, [task], plan, progress, gone):
                _refuse_nan(made[task.label], batch, given.names, name)
                if so_far and compute is scored:
                    so_far(lambda: found(levels=False))
    return found(levels=True)


def unlabelled(pixels: np.ndarray, names: Sequence[str]) -> ImageSet:
    """Images of no class."""
    none = np.zeros(len(pixels), int)
    contents = {"": tuple(digest(image) for image in pixels)}
    places = np.arange(len(pixels))
    reader = {"": of_array(pixels)}
    return ImageSet(tuple(names), places, contents, reader, {"": none}, {})


def _refuse_nan(
    part: Mapping[str, np.ndarray], batch: Batch, names: Sequence[str], method: str
) -> None:
    for field, values in part.items():
        if field == "maps.size" or field.endswith(".nan"):
            flags = np.isnan(values) if field == "maps.size" else values
            bad = np.asarray([np.any(row) for row in flags])
            for i in batch.index[bad[batch.rows]]:
                raise fail(names[i], f"a map of {method} without NaN", np.nan)
