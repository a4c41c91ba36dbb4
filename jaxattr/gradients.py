"""Gradients of a score, at a point and averaged over random copies of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxattr import _random, perturbations
from jaxattr._loops import mean_over
from jaxattr.typing import Array, GradientFn, Perturbation, ScoreFn

Tree = TypeVar("Tree")
"""A pytree of arrays."""


def gradient(score_fn: ScoreFn, points: Array) -> Array:
    """``∂ score / ∂ point`` for every point ``(..., H, W, C)`` in one backward pass.

    The rows are independent, so the gradient of the sum is the stack of gradients.
    """
    return jax.grad(lambda x: jnp.sum(score_fn(x)))(points)


def gradient_at_points(score_fn: ScoreFn) -> GradientFn:
    """The plain gradient as a driver of paths: it draws nothing."""
    return lambda keys, points: gradient(score_fn, points)


def averaged(
    sample: Callable[[Array], Callable[[Array, Any], Tree]],
    num_samples: int,
    samples_per_call: int = 1,
) -> Callable[[Array | None, Array], Tree]:
    """``1/N Σₙ gₙ``: the mean over samples of what ``sample`` makes of one.

    Args:
      sample: points ``(N, H, W, C)`` to a function of sample indices ``(S,)`` and their
        keys ``(S, N)``, or None, that returns ``(S, N, H, W, C)``, or a pytree of such.
      num_samples: how many there are.
      samples_per_call: how many of them share a model call.
    """

    def gradient_fn(keys: Array | None, points: Array) -> Tree:
        draw = sample(points)
        return mean_over(
            lambda index: draw(
                index, None if keys is None else _random.fold_in(keys, index)
            ),
            num_samples,
            samples_per_call,
        )

    return gradient_fn


def averaged_gradient(
    score_fn: ScoreFn,
    *,
    at: Perturbation | None = None,
    through: Perturbation | None = None,
    num_samples: int = 1,
    samples_per_call: int = 1,
) -> GradientFn:
    """``1/N Σₙ ∇ score(D(z))`` at ``z = zₙ``, the n-th random copy of the point.

    Args:
      score_fn: points ``(..., H, W, C)`` to ``(...)``.
      at: draws ``zₙ`` around the point; without it, the point. The gradient is taken
        with respect to ``zₙ``: the derivative of ``zₙ`` in the point is not part of it.
      through: draws ``D``, a map that *is* differentiated (input diversity).
      num_samples: N, model passes a point.
      samples_per_call: how many of them share a model call.
    """

    def sample(points: Array) -> Callable[[Array, Array], Array]:
        place = perturbations.repeated if at is None else at
        draw = place(points)

        def gradients(index: Array, keys: Array) -> Array:
            at_keys, through_keys = _random.split(keys, 2)
            if through is None:
                return gradient(score_fn, draw(at_keys))
            return gradient(lambda z: score_fn(through(z)(through_keys)), draw(at_keys))

        return gradients

    return averaged(sample, num_samples, samples_per_call)
