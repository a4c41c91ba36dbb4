"""Guided integrated gradients: the path moves first where the gradient is small."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import (
    check_integer,
    check_like_images,
    check_number,
    check_task,
)
from jaxattr._loops import by_image_batches
from jaxattr._numerics.rankings import kth_smallest
from jaxattr.gradients import gradient
from jaxattr.paths import Path, PathInfo, PathState, integrate_path
from jaxattr.typing import Array, LogitsFn, Scalar, Score, ScoreFn


def guided_ig(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    baseline: Scalar = 0.0,
    num_steps: int = 15,
    fraction: float = 0.25,
    max_dist: float = 0.02,
    score: Score | str = scores.logit,
) -> Array:
    """Integrated gradients along a path that avoids steep directions.

    ``A = Σₜ ∂ score / ∂ x (xₜ) ⊙ (xₜ₊₁ - xₜ)``. Step t brings the L1 distance to the
    image down to ``1 - (t + 1)/T`` of the whole by moving the values with the smallest
    absolute gradient first, a ``fraction`` of them at a time, each no further from the
    straight line than ``max_dist`` (in units of its length).

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call; the steps follow one another, so a
        call never takes more than N.
      baseline: where the path starts: a number, ``(H, W, C)`` or ``(N, H, W, C)``.
      num_steps: T, each a model pass.
      fraction: of the values moved together, in (0, 1].
      max_dist: how far a value may run ahead of or behind the straight line, in [0, 1].
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score. The path depends on an ordering of
      gradients, so the map is only piecewise differentiable in the image.

    Raises:
      ValueError: as ``integrated_gradients``; ``fraction`` or ``max_dist`` outside
        their range.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images = jnp.ones((1, 1, 1, 3))
      >>> ja.guided_ig(logits_fn, images, jnp.array([2])).ravel().round(4)
      Array([0., 0., 2.], dtype=float32)

    References:
      Kapishnikov, Venugopalan, Avci, Wedin, Terry, Bolukbasi. Guided Integrated
      Gradients: an Adaptive Path Method for Removing Noise. CVPR 2021,
      arXiv:2106.09788.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    baseline = check_like_images("baseline", baseline, images)
    num_steps = check_integer("num_steps", num_steps)
    # A step ends after so many rounds at most, a static number.
    fraction = float(check_number("fraction", fraction, 1e-6, 1.0))
    max_dist = check_number("max_dist", max_dist, 0.0, 1.0)

    def explain(_: int, images: Array, labels: Array, baseline: Array) -> Array:
        path = guided_path(
            score(logits_fn, labels),
            baseline,
            images,
            num_steps=num_steps,
            fraction=fraction,
            max_dist=max_dist,
        )
        return integrate_path(
            path,
            baseline,
            None,
            num_steps=num_steps,
            integrand=lambda info: info.gradient,
        )

    return by_image_batches(explain, batch_size, images, labels, baseline)


def guided_path(
    score_fn: ScoreFn,
    start: Array,
    end: Array,
    *,
    num_steps: int,
    fraction: float,
    max_dist: Scalar,
) -> Path[Array]:
    """The path of ``guided_ig`` from ``start`` to ``end``, both ``(N, H, W, C)``."""
    delta = end - start
    num_values = math.prod(delta.shape[1:])
    rank = int(fraction * (num_values - 1))  # of the largest value a round moves
    num_rounds = -(-num_values // (rank + 1))

    def l1(x: Array) -> Array:
        return jnp.sum(jnp.abs(x), axis=(1, 2, 3), keepdims=True)

    def step(keys: object, state: PathState) -> tuple[PathState, PathInfo[Array]]:
        points, t = state.points, state.rules
        raw = gradient(score_fn, points)
        alpha = ((t + 1) / num_steps).astype(points.dtype)
        slowest = start + jnp.maximum(alpha - max_dist, 0) * delta
        fastest = start + jnp.minimum(alpha + max_dist, 1) * delta
        target = (1 - alpha) * l1(delta)

        behind = (points - slowest) * jnp.sign(delta) < 0
        moved = jnp.where(behind, slowest, points)
        steepness = jnp.where(moved == fastest, jnp.inf, jnp.abs(raw))

        def move_round(
            carry: tuple[Array, Array], _: None
        ) -> tuple[tuple[Array, Array], None]:
            moved, steepness = carry
            threshold = kth_smallest(steepness.reshape(len(points), -1), rank)
            chosen = steepness <= threshold[:, None, None, None]
            chosen &= steepness < jnp.inf
            excess = l1(moved - end) - target
            available = l1(jnp.where(chosen, moved - fastest, 0))
            # All the way if that leaves something to move, else just to the target.
            # Rounding may leave nothing to move and a negative excess.
            partly = (available > 0) & (available > excess)
            share = jnp.where(partly, excess / jnp.where(partly, available, 1), 1)
            share = jnp.maximum(share, 0)
            ahead = jnp.where(share < 1, moved + share * (fastest - moved), fastest)
            moved = jnp.where(chosen, ahead, moved)
            return (moved, jnp.where(chosen, jnp.inf, steepness)), None

        (moved, _), _ = jax.lax.scan(move_round, (moved, steepness), length=num_rounds)
        state = state._replace(points=moved, rules=t + 1)
        return state, PathInfo(points, raw, raw, moved - points)

    def init(points: Array) -> PathState:
        return PathState(points, jnp.zeros_like(points), jnp.asarray(0), None)

    return Path(init, step)
