"""What a batch of images gives: sizes of maps, and scores of maps under attack."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._numerics.rankings import pixel_magnitudes
from jaxattr.attacks import attack_explanation
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.robustness.settings import Settings, attacked, measures
from jaxattr.evaluation.runs.devices import Devices, Role, first_rows
from jaxattr.evaluation.runs.work import Work
from jaxattr.typing import Array, LogitsFn


class Job(NamedTuple):
    """What the programs of all methods have in common."""

    classifier: LogitsFn
    twin: LogitsFn
    settings: Settings
    devices: Devices


class Explain(NamedTuple):
    """A method with its options: hashable, a constant of compiled programs."""

    method: Method
    options: tuple[tuple[str, object], ...]
    batch_size: int

    def __call__(
        self, model: LogitsFn, images: Array, labels: Array, keys: Array
    ) -> Array:
        """The maps of images, all of them in one call."""
        rows = max(self.batch_size, images.shape[0])
        return self.method.explain(
            model, images, labels, key=keys, batch_size=rows, **dict(self.options)
        )


def map_sizes(
    job: Job, explain: Explain, columns: Sequence[str], work: Work
) -> dict[str, np.ndarray]:
    """``maps.size (size, H, W)``."""
    program = job.devices.program(_maps, ("whole", "images", "images"))
    rows = job.devices.rows((work.pixels, work.keys))
    maps = program(job.classifier, *rows, explain=explain)
    return {"maps.size": first_rows(maps, len(work.pixels))}


def scored(
    job: Job, explain: Explain, columns: Sequence[str], work: Work
) -> dict[str, np.ndarray]:
    """The scores of each attack and ε that is missing."""
    roles: tuple[Role, ...] = ("whole", "whole", "images", "images", "whole")
    rows = job.devices.rows((work.pixels, work.keys))
    found: dict[str, np.ndarray] = {}
    for column in columns:
        attack, epsilon = attacked(job.settings)[column]
        scores = job.devices.program(_attacked, roles)(
            *(job.classifier, job.twin, *rows, epsilon),
            explain=explain,
            attack=attack,
            settings=job.settings,
        )
        scores = first_rows(scores, len(work.pixels))
        found |= {f"{column}.{field}": values for field, values in scores.items()}
    return found


@functools.partial(jax.jit, static_argnames="explain")
def _maps(
    classifier: LogitsFn, images: Array, keys: Array, *, explain: Explain
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
    explain: Explain,
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
    nan = jnp.isnan(before).any(axis=(1, 2))
    return scores | {
        "success": found.success,
        "distance": found.distances,
        "nan": nan,
    }
