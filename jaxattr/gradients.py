"""Gradients of a score, at a point and averaged over random copies of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr._loops import mean_over
from jaxattr.typing import Array, GradientFn, Perturbation, ScoreFn


def gradient(score_fn: ScoreFn, points: Array) -> Array:
    """``∂ score / ∂ point`` for every point ``(..., H, W, C)`` in one backward pass.

    The rows are independent, so the gradient of the sum is the stack of gradients.
    """
    return jax.grad(lambda x: jnp.sum(score_fn(x)))(points)


def gradient_at_points(score_fn: ScoreFn) -> GradientFn:
    """The plain gradient as a driver of paths: it draws nothing."""
    return lambda keys, points: gradient(score_fn, points)


def averaged_gradient(
    score_fn: ScoreFn,
    *,
    at: Perturbation,
    through: Perturbation | None = None,
    num_samples: int,
    samples_per_call: int = 1,
) -> GradientFn:
    """``1/N Σₙ ∇ score(D(z))`` at ``z = zₙ``, the n-th random copy of the point.

    Args:
      score_fn: points ``(..., H, W, C)`` to ``(...)``.
      at: draws ``zₙ`` around the point. The gradient is taken with respect to ``zₙ``:
        the derivative of ``zₙ`` in the point is not part of it.
      through: draws ``D``, a map that *is* differentiated (input diversity).
      num_samples: N, model passes a point.
      samples_per_call: how many of them share a model call.
    """

    def gradient_fn(keys: Array, points: Array) -> Array:
        draw = at(points)

        def samples(index: Array) -> Array:
            at_keys, through_keys = _random.split(_random.fold_in(keys, index), 2)
            if through is None:
                return gradient(score_fn, draw(at_keys))
            return gradient(lambda z: score_fn(through(z)(through_keys)), draw(at_keys))

        return mean_over(samples, num_samples, samples_per_call)

    return gradient_fn
