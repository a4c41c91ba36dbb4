"""APGD: projected ascent with momentum that halves its step when it stands still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxattr import scores
from jaxattr._checks import check_choice, check_integer
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.boundaries.member import (
    Best,
    BoundaryTask,
    Evaluated,
    Member,
    ball_and_box,
    check_radii,
    closest_on,
    evaluator,
    over_radii,
    random_direction,
    where_images,
)
from jaxattr.paths import Path, PathInfo, PathState
from jaxattr.steps import unit
from jaxattr.typing import Array, LogitsFn, Projection, Score, ScoreFn

RADII = (0.25, 1.0, 4.0)


class _Memory(NamedTuple):
    """What the rule remembers of an image, all ``(N, ...)``."""

    previous: Array
    """The point before the last move."""
    step_size: Array
    last: Array
    """The loss where the last step began."""
    best: Array
    """The largest loss so far, with its point and gradient."""
    best_points: Array
    best_gradient: Array
    rises: Array
    """Steps since the last checkpoint in which the loss rose."""
    was_halved: Array
    """At the last checkpoint."""
    best_then: Array
    """The largest loss at the last checkpoint."""


def apgd_ce(
    *, radii: Sequence[float] = RADII, num_steps: int = 30, norm: str = "l2"
) -> Member:
    """Auto-PGD on the cross-entropy, over radii.

    ``z = Π(x + η d)``, ``x ← Π(x + ¾ (z - x) + ¼ (x - x₋₁))``, d the normalised gradient,
    from a draw on the sphere and with ``η = 2 ε``. At checkpoints η is halved, and the
    path goes back to its best point, where the loss rose in at most three quarters of
    the steps since the last one, or where neither η nor the best loss has changed.
    At most T gradients and one forward pass a radius.

    Args:
      radii: ε, ascending, in the units of the search.
      num_steps: T.
      norm: ``l2`` or ``linf``.

    Raises:
      ValueError: radii that do not ascend, none at all, an unknown norm.

    References:
      Croce, Hein. Reliable evaluation of adversarial robustness with an ensemble of
      diverse parameter-free attacks. ICML 2020, arXiv:2003.01690.
    """
    return _apgd("apgd_ce", scores.cross_entropy, radii, num_steps, norm)


def apgd_dlr(
    *, radii: Sequence[float] = RADII, num_steps: int = 30, norm: str = "l2"
) -> Member:
    """``apgd_ce`` on the difference of logits ratio.

    ``-(z_y - max_{k≠y} z_k) / (z₍₁₎ - z₍₃₎)``, z₍ᵢ₎ the i-th largest logit: unlike the
    cross-entropy it does not vanish where the model is sure of itself. With two classes
    there is no third, and the numerator is taken alone. The released code adds 1e-12 to
    the denominator; here it is 1e-12 of the largest logit, a power of two near it, so
    that the ratio has no unit.
    """
    return _apgd("apgd_dlr", difference_of_logits_ratio, radii, num_steps, norm)


def difference_of_logits_ratio(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """The score of ``apgd_dlr``."""

    def score_fn(images: Array) -> Array:
        logits = widen(logits_fn(images))
        margin = scores.margin(lambda z: z, labels)(logits)
        if logits.shape[-1] < 3:
            return -margin
        # In a unit of their own: the derivative of a ratio squares what it divides by.
        unmasked = jnp.where(logits > -jnp.inf, logits, 0)
        unit_of = norms.scale_of(unmasked, 1)
        scaled = logits / unit_of
        third = jnp.max(_without_largest(_without_largest(scaled)), axis=-1)
        # A third of minus infinity is a class that is masked: there are two.
        has_third = third > -jnp.inf
        spread = jnp.max(scaled, axis=-1) - jnp.where(has_third, third, 0) + 1e-12
        ratio = (margin / unit_of[:, 0]) / jnp.where(has_third, spread, 1)
        return -jnp.where(has_third, ratio, margin)

    return score_fn


def _without_largest(logits: Array) -> Array:
    """Minus infinity in place of the largest logit of a row, of equal ones the first."""
    # Not a sort: its derivative does not keep explicitly sharded rows where they are.
    place = jnp.argmax(logits, axis=-1)[:, None]
    is_largest = jnp.arange(logits.shape[-1])[None, :] == place
    return jnp.where(is_largest, -jnp.inf, logits)


def checkpoints(num_steps: int) -> np.ndarray:
    """``(T,)``: how many steps a checkpoint looks back, 0 where there is none.

    >>> [int(t) for t in np.flatnonzero(checkpoints(100))]
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    windows = np.zeros(num_steps, int)
    window, at = max(int(0.22 * num_steps), 1), 0
    while at + window < num_steps:
        at += window
        windows[at] = window
        shrunk = window - max(int(0.03 * num_steps), 1)
        window = max(shrunk, max(int(0.06 * num_steps), 1))
    return windows


def _apgd(
    name: str, score: Score, radii: Sequence[float], num_steps: int, norm: str
) -> Member:
    radii = check_radii(radii)
    num_steps = check_integer("num_steps", num_steps)
    check_choice("norm", norm, ("l2", "linf"))

    def find(task: BoundaryTask) -> Best:
        def attempt(radius: Array, keys: Array | None, is_done: Array) -> Best:
            assert keys is not None
            project = ball_and_box(task, radius, norm)
            noise = random_direction(keys, task.images, norm)
            if norm == "linf":
                size = jnp.max(jnp.abs(noise), (1, 2, 3), keepdims=True)
                noise = noise / jnp.where(size == 0, 1, size)
            start = project(task.images + radius * noise)
            path = _path(task, score, project, norm, radius, num_steps, is_done)
            return closest_on(path, task, start, num_steps)

        return over_radii(task, radii, attempt)

    count = len(radii)
    return Member(name, find, count * (num_steps + 1), count * num_steps, True)


def _path(
    task: BoundaryTask,
    score: Score,
    project: Projection,
    norm: str,
    radius: Array,
    num_steps: int,
    is_done: Array,
) -> Path[Evaluated]:
    evaluate = evaluator(task, score)
    windows = jnp.asarray(checkpoints(num_steps))

    def init(points: Array) -> PathState:
        zeros = jnp.zeros_like(points[:, 0, 0, 0])
        memory = _Memory(
            previous=points,
            step_size=zeros + 2 * radius,
            last=zeros + jnp.inf,
            best=zeros - jnp.inf,
            best_points=points,
            best_gradient=jnp.zeros_like(points),
            rises=jnp.zeros_like(task.source_classes),
            was_halved=zeros == 0,
            best_then=zeros - jnp.inf,
        )
        rules = (memory, jnp.zeros((), int))
        return PathState(points, jnp.zeros_like(points), rules, ~is_done)

    def step(_: object, state: PathState) -> tuple[PathState, PathInfo[Evaluated]]:
        points, _, (memory, t), active = state
        evaluated = evaluate(points)
        memory = _remember(memory, points, evaluated.gradient, evaluated.values, t == 0)
        halve, memory = _check(memory, windows[t])
        base, gradient = where_images(
            halve,
            (memory.best_points, memory.best_gradient),
            (points, evaluated.gradient),
        )
        direction = jnp.sign(gradient) if norm == "linf" else unit(gradient)
        ahead = project(base + memory.step_size[:, None, None, None] * direction)
        share = jnp.where(t == 0, 1.0, 0.75).astype(base.dtype)
        mixed = base + share * (ahead - base) + (1 - share) * (base - memory.previous)
        assert active is not None
        moved = where_images(active, project(mixed), points)
        rules = (memory._replace(previous=base), t + 1)
        info = PathInfo(points, evaluated, direction, moved - base)
        return PathState(moved, direction, rules, active), info

    return Path(init, step)


def _remember(
    memory: _Memory, points: Array, gradient: Array, loss: Array, is_first: Array
) -> _Memory:
    """The best point, the rises, and at the start what checkpoints compare with."""
    best = (memory.best, memory.best_points, memory.best_gradient)
    rose = (loss > memory.last) & ~is_first
    best = where_images(loss > memory.best, (loss, points, gradient), best)
    return memory._replace(
        best=best[0],
        best_points=best[1],
        best_gradient=best[2],
        rises=memory.rises + rose.astype(memory.rises.dtype),
        last=loss,
        best_then=jnp.where(is_first, best[0], memory.best_then),
    )


def _check(memory: _Memory, window: Array) -> tuple[Array, _Memory]:
    """Which images halve their step and go back; none where ``window`` is 0."""
    is_checkpoint = window > 0
    rises = memory.rises.astype(memory.best.dtype)
    oscillates = rises <= 0.75 * window.astype(rises.dtype)
    stands_still = ~memory.was_halved & (memory.best_then >= memory.best)
    halve = is_checkpoint & (oscillates | stands_still)
    step_size = jnp.where(halve, memory.step_size / 2, memory.step_size)
    return halve, memory._replace(
        step_size=step_size,
        rises=jnp.where(is_checkpoint, 0, memory.rises),
        was_halved=jnp.where(is_checkpoint, halve, memory.was_halved),
        best_then=jnp.where(is_checkpoint, memory.best, memory.best_then),
    )
