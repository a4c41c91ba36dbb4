"""Bounds on a mean from samples that hold at a known confidence, for any distribution."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jaxattr.typing import Array

_HALVINGS = 40


def mean_from_below(average: Array, num_samples: int, alpha: float) -> Array:
    """The least mean that n samples in [0, 1] with this average do not speak against.

    The μ below the average m with ``n KL(m ‖ μ) = log(1/α)``, KL the divergence of two
    coins: ``P(average ≥ m) ≤ exp(-n KL(m ‖ μ))`` for any independent samples of one mean
    μ ≤ m. The mean is below this bound with a probability of α at most.

    Args:
      average: of the samples, any shape, in [0, 1].
      num_samples: n.
      alpha: α in (0, 1).

    Returns:
      Lower bounds, rounded down; NaN where the average is NaN.

    Reference: Hoeffding. Probability inequalities for sums of bounded random variables.
    JASA 1963, theorem 1.
    """
    eps = float(jnp.finfo(average.dtype).eps)
    budget = math.log(1 / alpha) / num_samples + 8 * eps
    # Of the samples, and of adding one after the other.
    rounding = (64 + num_samples / 8) * eps
    average = jnp.clip(average - rounding, 0, 1)

    def divergence(mean: Array) -> Array:
        return (
            xlogy(average, average)
            - xlogy(average, mean)
            + xlogy(1 - average, 1 - average)
            - xlogy(1 - average, 1 - mean)
        )

    def halve(_: Array, interval: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = interval
        middle = (low + high) / 2
        too_low = divergence(middle) > budget
        return jnp.where(too_low, middle, low), jnp.where(too_low, high, middle)

    interval = (jnp.zeros_like(average), average)
    low, _ = jax.lax.fori_loop(0, _HALVINGS, halve, interval)
    return jnp.where(jnp.isnan(average), jnp.nan, low)
