"""How far attacks of growing budget move the explanations of a set of images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jaxattr import metrics
from jaxattr._checks import check_images, fail
from jaxattr._numerics.rankings import pixel_magnitudes
from jaxattr.attacks import attack_explanation
from jaxattr.evaluation.methods.options import to_json
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.methods.requests import Options
from jaxattr.evaluation.runs.devices import Devices, Role, first_rows
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.parts import Computation, Parts, chunks, gather
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.typing import Array, LogitsFn

EXPLANATION_ATTACKS = ("random_sign", "mass_center", "top_k", "lens")
"""``lens`` is ``top_k`` that presses down the neighbourhood as well."""
NULLS = ("random", "shift", "photographs")


class Settings(NamedTuple):
    """What is attacked, and how it is scored."""

    attacks: tuple[str, ...] = ("random_sign", "mass_center", "top_k")
    epsilons: tuple[float, ...] = (1 / 255, 2 / 255, 4 / 255, 8 / 255)
    """In pixel units."""
    k: int = 1000
    window: int = 3
    num_steps: int = 20
    chance_samples: int = 3
    seed: int = 0
    batch_size: int = 4
    images_per_part: int = 4
    """How many images are done between one save and the next."""


Attacked = tuple[str, float]
"""An attack and its ε."""


class MethodRobustness(NamedTuple):
    """What was measured of one method."""

    method: str
    maps: np.ndarray
    """``(N, H, W)``: sizes of the unperturbed maps."""
    scores: Mapping[Attacked, Mapping[str, np.ndarray]]
    """(attack, ε) to score to ``(N,)``; ``success`` among the scores."""
    chance: Mapping[str, Mapping[str, float]]
    """Null to score to the mean of what it reaches."""


def measures(k: int, window: int) -> dict[str, Callable[[Array, Array], Array]]:
    """The scores by name; the first three are drawn."""

    def near(score: Callable[..., Array]) -> Callable[[Array, Array], Array]:
        return functools.partial(score, k=k, window=window)

    return {
        "top_k": functools.partial(metrics.top_k_intersection, k=k),
        "lens_recall": near(metrics.lens_recall),
        "lens_recall_diverse": near(metrics.lens_recall_diverse),
        "lens_precision": near(metrics.lens_precision),
        "spearman": metrics.spearman,
        "kendall": metrics.kendall,
    }


def check_settings(settings: Settings, images: np.ndarray) -> None:
    """Refuses what would fail after work has begun.

    Args:
      settings: what to do.
      images: ``(N, H, W, C)``.

    Raises:
      ValueError: more pixels than fit in a map, or fit apart from each other.
    """
    maps = jax.ShapeDtypeStruct(images.shape[:3], jnp.float32)
    for measure in measures(settings.k, settings.window).values():
        jax.eval_shape(measure, maps, maps)


def num_parts(num_methods: int, num_images: int, settings: Settings) -> int:
    """How many parts ``measure`` has."""
    each = 1 + len(settings.attacks) * len(settings.epsilons)
    return num_methods * each * -(-num_images // settings.images_per_part)


def measure(
    classifier: LogitsFn,
    twin: LogitsFn,
    images: ArrayLike | Array,
    names: Sequence[str],
    methods: Mapping[str, tuple[Method, Options]],
    settings: Settings,
    *,
    twin_name: str = "",
    parts: Parts,
    mesh: Mesh | None = None,
    progress: Progress | None = None,
) -> list[MethodRobustness]:
    """Attacks the explanation of what is predicted for each image, part by part.

    Args:
      classifier: a callable pytree, what is explained.
      twin: with curvature, what the steps follow; the classifier itself will do where
        it has some.
      images: float ``(N, H, W, C)`` in [0, 1].
      names: of the images, for messages.
      methods: name to method and options.
      settings: what to do.
      twin_name: what tells the twin from others of the same weights.
      parts: where parts are kept: what is there is not done again.
      mesh: the images of a part lie on all of its devices, models on each of them; by
        default one device. It decides no number.
      progress: where it is reported, one item a part; see ``num_parts``.

    Returns:
      One ``MethodRobustness`` a method.

    Raises:
      ValueError: shapes that do not fit; a map that holds NaN, naming its image.
    """
    pixels = np.asarray(check_images(images))
    check_settings(settings, pixels)
    known = {"weights": digest(classifier), "twin": [twin_name, digest(twin)]}
    key = jax.random.key(settings.seed)
    devices = Devices(mesh)
    rows = devices.share(settings.batch_size)
    spread = devices.whole((classifier, twin))
    results = []
    for method_name, (method, options) in methods.items():
        explain = _Explain(method, tuple(sorted(options.items())), rows)
        made: dict[Attacked | None, list[dict[str, np.ndarray]]] = {}
        for chunk in chunks(len(pixels), settings.images_per_part, key):
            batch = pixels[chunk.index]
            given = (*spread, *devices.rows((batch, chunk.keys)))
            about = {
                **known,
                "method": method_name,
                "options": to_json(options),
                "images": digest(batch),
                "seed": settings.seed,
            }
            jobs: dict[Attacked | None, Computation] = {
                None: functools.partial(_map_sizes, devices, explain, *given)
            }
            for attack in settings.attacks:
                for epsilon in settings.epsilons:
                    jobs[attack, epsilon] = functools.partial(
                        *(_scored, devices, *given),
                        *(epsilon, explain, attack, settings),
                    )
            for job, compute in jobs.items():
                what = "-".join(["maps"] if job is None else [job[0], f"{job[1]:.5g}"])
                budget = [settings.k, settings.window, settings.num_steps]
                done = chunk.make(
                    parts,
                    f"{method_name} {what}",
                    {**about, "job": job, "budget": budget if job else None},
                    lambda: first_rows(compute(), len(batch)),
                    progress=progress,
                )
                made.setdefault(job, []).append(done)
                if job is None:
                    _refuse_nan(done["maps"], names[chunk.first :], method_name)
        results.append(_gather(method_name, made, len(pixels), settings, key))
    return results


class _Explain(NamedTuple):
    """A method with its options: hashable, a constant of compiled programs."""

    method: Method
    options: tuple[tuple[str, object], ...]
    batch_size: int

    def __call__(
        self, model: LogitsFn, images: Array, labels: Array, keys: Array
    ) -> Array:
        rows = max(self.batch_size, images.shape[0])
        return self.method.explain(
            model, images, labels, key=keys, batch_size=rows, **dict(self.options)
        )


def _map_sizes(
    devices: Devices,
    explain: _Explain,
    classifier: LogitsFn,
    twin: LogitsFn,
    images: Array,
    keys: Array,
) -> dict[str, Array]:
    del twin
    program = devices.program(_maps, ("whole", "images", "images"))
    return {"maps": program(classifier, images, keys, explain=explain)}


def _scored(
    devices: Devices,
    classifier: LogitsFn,
    twin: LogitsFn,
    images: Array,
    keys: Array,
    epsilon: float,
    explain: _Explain,
    attack: str,
    settings: Settings,
) -> dict[str, Array]:
    roles: tuple[Role, ...] = ("whole", "whole", "images", "images", "whole")
    return devices.program(_attacked, roles)(
        *(classifier, twin, images, keys, epsilon),
        explain=explain,
        attack=attack,
        settings=settings,
    )


@functools.partial(jax.jit, static_argnames="explain")
def _maps(
    classifier: LogitsFn, images: Array, keys: Array, *, explain: _Explain
) -> Array:
    labels = jnp.argmax(classifier(images), axis=-1)
    return pixel_magnitudes(explain(classifier, images, labels, keys))


@functools.partial(jax.jit, static_argnames=("explain", "attack", "settings"))
def _attacked(
    classifier: LogitsFn,
    twin: LogitsFn,
    images: Array,
    keys: Array,
    epsilon: Array | float,
    *,
    explain: _Explain,
    attack: str,
    settings: Settings,
) -> dict[str, Array]:
    labels = jnp.argmax(classifier(images), axis=-1)
    judge = lambda x: explain(classifier, x, labels, keys)
    is_random = attack == "random_sign"
    found = attack_explanation(
        lambda x: explain(twin, x, labels, keys),
        images,
        key=keys,
        kind="top_k" if attack == "lens" else attack,
        k=settings.k,
        epsilon=epsilon,
        # Signs at full size are drawn anew each step; a gradient may go to and fro.
        step_size=epsilon if is_random else 2.5 * epsilon / settings.num_steps,
        num_steps=settings.num_steps,
        logits_fn=classifier,
        labels=labels,
        score_explain_fn=judge,
        window=settings.window if attack == "lens" else 0,
    )
    before, after = (pixel_magnitudes(judge(x)) for x in (images, found.images))
    by_name = measures(settings.k, settings.window)
    scores = {name: score(before, after) for name, score in by_name.items()}
    return scores | {"success": found.success, "distance": found.distances}


def _refuse_nan(maps: np.ndarray, names: Sequence[str], method: str) -> None:
    for values, name in zip(maps, names):
        if np.isnan(values).any():
            raise fail(name, f"a map of {method} without NaN", values)


def _gather(
    method: str,
    made: Mapping[Attacked | None, Sequence[Mapping[str, np.ndarray]]],
    num_images: int,
    settings: Settings,
    key: Array,
) -> MethodRobustness:
    maps = gather(made[None], "maps", num_images)
    scores = {
        job: {field: gather(done, field, num_images) for field in done[0]}
        for job, done in made.items()
        if job is not None
    }
    chance = {
        null: {
            name: float(_chance(jnp.asarray(maps), key, name, null, settings))
            for name in tuple(measures(settings.k, settings.window))[:3]
        }
        for null in NULLS
        if null != "photographs" or num_images > 1
    }
    return MethodRobustness(method, maps, scores, chance)


@functools.partial(jax.jit, static_argnames=("name", "null", "settings"))
def _chance(maps: Array, key: Array, name: str, null: str, settings: Settings) -> Array:
    measure = measures(settings.k, settings.window)[name]
    return metrics.lens_chance(
        measure, maps, maps, key=key, null=null, num_samples=settings.chance_samples
    ).mean()
