"""Weighted least squares over rows that are made again where they are needed.

Only sums over rows are held: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr._loops import sum_over
from jaxattr.typing import Array


class Rows(NamedTuple):
    """Some rows of each of N regressions."""

    design: Array
    """``(S, N, P)``: x."""
    target: Array
    """``(S, N)``: y."""
    weight: Array
    """``(S, N)``: w, not below zero."""
    is_drawn: Array
    """``(S, N)`` bool: the row is random, independent of the others."""


def least_squares(
    rows: Callable[[Array], Rows],
    num_rows: int,
    penalty: Array,
    *,
    standard_error: bool,
) -> tuple[Array, Array]:
    """``β`` that minimises ``Σ w (y - x·β)² + β'Λβ``, and its standard errors.

    Errors are those of the draw of the rows: ``G⁻¹ V G⁻¹`` with ``G = Σ w x x' + Λ``
    and V the variance of ``Σ w x e`` over the rows that are drawn. Their residuals e
    are divided by one minus leverage (HC3); their variances need not be equal.

    Args:
      rows: indices ``(S,)`` to rows.
      num_rows: how many there are.
      penalty: ``(N, P, P)``, Λ.
      standard_error: without it, the second result is NaN.

    Returns:
      ``(N, P)`` and ``(N, P)``; NaN where the rows do not determine β.
    """

    def normal_equations(index: Array) -> tuple[Array, Array]:
        design, target, weight, _ = rows(index)
        weighted = weight[..., None] * design
        return _outer(weighted, design), weighted * target[..., None]

    gram, moment = sum_over(normal_equations, num_rows)
    inverse = _inverse(gram + penalty)
    beta = _apply(inverse, moment)
    if not standard_error:
        return beta, jnp.full_like(beta, jnp.nan)

    def influences(index: Array) -> tuple[Array, Array, Array]:
        design, target, weight, is_drawn = rows(index)
        weight = jnp.where(is_drawn, weight, 0)
        error = target - jnp.sum(design * beta[None], axis=-1)
        solved = jnp.sum(inverse[None] * design[..., None, :], axis=-1)
        leverage = weight * jnp.sum(solved * design, axis=-1)
        scale = weight * error / jnp.maximum(1 - leverage, 1e-3)
        influence = scale[..., None] * solved
        return influence, influence**2, is_drawn.astype(beta.dtype)

    total, squares, number = sum_over(influences, num_rows)
    number = number[:, None]
    variance = squares - total**2 / jnp.maximum(number, 1)
    variance = variance * number / jnp.maximum(number - 1, 1)
    # One draw tells nothing of its spread; without any nothing is random.
    variance = jnp.where(number == 1, jnp.nan, variance)
    return beta, jnp.sqrt(jnp.maximum(variance, 0))


def _outer(a: Array, b: Array) -> Array:
    return a[..., :, None] * b[..., None, :]


def _apply(matrix: Array, vector: Array) -> Array:
    return jnp.sum(matrix * vector[:, None, :], axis=-1)


def _inverse(matrices: Array) -> Array:
    """Of positive definite ``(N, P, P)``; NaN where one is singular.

    By Gauss-Jordan elimination, which needs no pivots there and, other than calls of a
    library, computes where its matrices lie.
    """
    size = matrices.shape[-1]
    places = jnp.arange(size)
    scale = jnp.max(jnp.abs(matrices), axis=(1, 2))
    least = scale * size * jnp.finfo(matrices.dtype).eps

    def eliminate(step: Array, state: Array) -> Array:
        is_step = places == step
        row = jnp.sum(jnp.where(is_step[None, :, None], state, 0), axis=1)
        column = jnp.sum(jnp.where(is_step[None, None, :], state, 0), axis=2)
        pivot = jnp.sum(jnp.where(is_step[None], row, 0), axis=1)
        pivot = jnp.where(pivot > least, pivot, jnp.nan)[:, None]
        new_row = jnp.where(is_step[None], 1, row) / pivot
        rest = (
            jnp.where(is_step[None, None, :], 0, state)
            - jnp.where(is_step[None, :], 0, column)[:, :, None] * new_row[:, None, :]
        )
        return jnp.where(is_step[None, :, None], new_row[:, None, :], rest)

    return jax.lax.fori_loop(0, size, eliminate, matrices)
