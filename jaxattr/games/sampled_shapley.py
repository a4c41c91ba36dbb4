"""Shapley values of many players from a sample of coalitions, with standard errors.

An estimator is two functions: a plan, which draws coalitions, and an estimate, which is
linear in their values. The first two coalitions of every plan are the empty and the full
one, so the values always sum to ``v(all) - v(none)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import scores
from jaxattr._checks import check_choice, check_integer, check_single_key, fail
from jaxattr._loops import stack_over
from jaxattr.typing import Array


class Estimator(NamedTuple):
    """How to sample, and what to make of the values."""

    plan: Callable[[Array, int, int], Array]
    """``(key, M, most) -> (S, M)`` bool, S at most ``most``."""
    estimate: Callable[[Array, Array], tuple[Array, Array]]
    """Coalitions ``(S, M)`` and values ``(S, ...)`` to values and errors ``(M, ...)``."""
    fewest: Callable[[int], int]
    """M to the fewest calls that give a standard error."""


def shapley_sampled(
    value_fn: Callable[[Array], Array],
    num_players: int,
    *,
    key: Array,
    num_samples: int,
    estimator: str = "kernel",
    samples_per_call: int = 1,
) -> tuple[Array, Array]:
    """Shapley values from at most ``num_samples`` values of coalitions.

    * ``kernel``: least squares of v on membership over coalitions that are drawn with
      their complements, sizes k in proportion to ``1 / k(M - k)``. Consistent: its
      bias is of order ``1 / num_samples``, far below its standard error.
    * ``permutation``: ``φᵢ`` is the mean of ``v(before i and i) - v(before i)`` over
      random orders, each taken forwards and backwards. Unbiased.

    Both are exact for games of single players and of pairs. ``kernel`` is the default by
    measured error at equal calls (``benchmarks/spectral_importance.py``): on games
    without structure its error is 0.5 to 0.65 of that of ``permutation``, on games of
    networks and of falling spectra 0.75 to 1.1 of it. Sampling all rotations of an
    order, so that every player joins at every size equally often, was never the best.

    Args:
      value_fn: one coalition ``(M,)`` bool to ``()``, or ``(N,)`` for N games that
        share the draws. It is vmapped.
      num_players: M, two or more.
      key: one typed key.
      num_samples: the most calls of ``value_fn``. What does not fill a block of the
        estimator is not spent.
      estimator: ``kernel`` or ``permutation``.
      samples_per_call: how many coalitions are evaluated together.

    Returns:
      values: ``(M,)`` or ``(M, N)``, in the units of v.
      standard_error: of the same shape, over the draws.

    Raises:
      ValueError: an unknown estimator, no key, or too few samples for two blocks.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> size = lambda coalition: jnp.sum(coalition.astype(jnp.float32)) ** 2
      >>> values, error = ja.shapley_sampled(
      ...     size, 30, key=jax.random.key(0), num_samples=200)
      >>> bool(jnp.allclose(values, 30.0)), bool(jnp.allclose(error, 0.0, atol=1e-4))
      (True, True)

    References:
      Castro, Gómez, Tejada. Polynomial calculation of the Shapley value based on
      sampling. 2009. Mitchell, Cooper, Frank, Holmes. Sampling Permutations for Shapley
      Value Estimation. JMLR 2022. Covert, Lee. Improving KernelSHAP. AISTATS 2021.
    """
    num_players = check_integer("num_players", num_players, 2)
    key = check_single_key(key)
    chosen = check_estimator(estimator, num_players, num_samples)
    samples_per_call = check_integer("samples_per_call", samples_per_call)
    plan = chosen.plan(key, num_players, num_samples)
    values = stack_over(
        lambda index: jax.vmap(value_fn)(plan[index]), len(plan), samples_per_call
    )
    if not jnp.issubdtype(values.dtype, jnp.floating) or values.ndim > 2:
        raise fail("value_fn", "floats () or (N,)", values[0])
    return chosen.estimate(plan, scores.widen(values))


def check_estimator(name: str, num_players: int, num_samples: int) -> Estimator:
    """One of ``ESTIMATORS`` that these samples are enough for."""
    estimator = ESTIMATORS[check_choice("estimator", name, ESTIMATORS)]
    fewest = estimator.fewest(num_players)
    if check_integer("num_samples", num_samples) < fewest:
        what = f"at least {fewest} for {num_players} players ({name})"
        raise fail("num_samples", what, num_samples)
    return estimator


def _permutation_plan(key: Array, num_players: int, most: int) -> Array:
    num_pairs = (most - 2) // (2 * (num_players - 1))
    # The rank of a player is its place in the order of joining.
    ranks = _random_ranks(key, num_pairs, num_players)
    both = jnp.stack([ranks, num_players - 1 - ranks], axis=1)[:, :, None, :]
    sizes = jnp.arange(1, num_players).reshape(1, 1, -1, 1)
    return _with_ends((both < sizes).reshape(-1, num_players))


def _permutation_estimate(plan: Array, values: Array) -> tuple[Array, Array]:
    num_players = plan.shape[1]
    tail = values.shape[1:]
    members = plan.astype(values.dtype)

    def with_ends(inner: Array) -> Array:
        """Chains ``(pairs, 2, M - 1, ...)`` from the empty coalition to the full one."""
        chains = inner[2:].reshape(-1, 2, num_players - 1, *inner.shape[1:])
        shape = (*chains.shape[:2], 1, *inner.shape[1:])
        first, last = (jnp.broadcast_to(inner[i], shape) for i in (0, 1))
        return jnp.concatenate([first, chains, last], axis=2)

    joins = jnp.diff(with_ends(members), axis=2)
    gains = jnp.diff(with_ends(values.reshape(len(plan), -1)), axis=2)
    highest = jax.lax.Precision.HIGHEST
    by_pair = jnp.einsum("boki,bokn->bin", joins, gains, precision=highest) / 2
    by_pair = by_pair.reshape(-1, num_players, *tail)
    error = jnp.std(by_pair, axis=0, ddof=1) / len(by_pair) ** 0.5
    return jnp.mean(by_pair, axis=0), error


def _kernel_plan(key: Array, num_players: int, most: int) -> Array:
    num_pairs = (most - 2) // 2
    size_key, order_key = jax.random.split(key)
    # The kernel's share of each size, 1 / k(M - k), at evenly spaced quantiles.
    sizes = np.arange(1, num_players)
    share = np.cumsum(1 / (sizes * (num_players - sizes)))
    quantiles = (
        jnp.arange(num_pairs, dtype=float) + jax.random.uniform(size_key)
    ) / num_pairs
    cuts = jnp.asarray(share[:-1] / share[-1], quantiles.dtype)
    size = 1 + jnp.sum(quantiles[:, None] >= cuts[None], axis=1)
    first = _random_ranks(order_key, num_pairs, num_players) < size[:, None]
    pairs = jnp.stack([first, ~first], axis=1)
    return _with_ends(pairs.reshape(-1, num_players))


def _kernel_estimate(plan: Array, values: Array) -> tuple[Array, Array]:
    num_players = plan.shape[1]
    tail = values.shape[1:]
    values = (values - values[:1]).reshape(len(plan), -1)
    # (v(S) - v(Sᶜ)) / 2 = (1_S - 1/2)·φ + error; the sum of φ is known.
    half = (values[2::2] - values[3::2]) / 2
    design = plan[2::2].astype(values.dtype) - 0.5
    share = values[1:2] / num_players
    rest = half - jnp.sum(design, axis=1, keepdims=True) * share
    basis = jnp.asarray(_sum_zero_basis(num_players), values.dtype)
    highest = jax.lax.Precision.HIGHEST
    reduced = jnp.matmul(design, basis, precision=highest)
    inverse = jnp.linalg.pinv(jnp.matmul(reduced.T, reduced, precision=highest))
    solve = jnp.matmul(inverse, reduced.T, precision=highest)
    found = jnp.matmul(solve, rest, precision=highest)
    leverage = jnp.sum(reduced * solve.T, axis=1, keepdims=True)
    # Standard errors that allow for unequal errors (HC3).
    error = rest - jnp.matmul(reduced, found, precision=highest)
    error = error / jnp.maximum(1 - leverage, 1e-3)
    influence = jnp.matmul(basis, solve, precision=highest)
    variance = jnp.matmul(influence**2, error**2, precision=highest)
    found = jnp.matmul(basis, found, precision=highest) + share
    shape = (num_players, *tail)
    return found.reshape(shape), jnp.sqrt(variance).reshape(shape)


def _random_ranks(key: Array, count: int, num_players: int) -> Array:
    """``(count, M)``: random permutations, from the order of independent draws."""
    return jnp.argsort(jax.random.uniform(key, (count, num_players)), axis=1)


def _sum_zero_basis(size: int) -> np.ndarray:
    """``(M, M - 1)``: an orthonormal basis of the vectors that sum to zero."""
    return np.linalg.svd(np.ones((1, size)))[2][1:].T


def _with_ends(coalitions: Array) -> Array:
    ends = jnp.zeros((2, coalitions.shape[1]), bool).at[1].set(True)
    return jnp.concatenate([ends, coalitions])


ESTIMATORS = {
    "kernel": Estimator(_kernel_plan, _kernel_estimate, lambda m: 2 + 4 * m),
    "permutation": Estimator(
        _permutation_plan, _permutation_estimate, lambda m: 2 + 4 * (m - 1)
    ),
}
