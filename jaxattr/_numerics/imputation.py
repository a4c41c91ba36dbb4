"""Missing pixels as weighted means of their neighbours: a sparse system, by multigrid.

Every missing pixel is the mean of its neighbours, straight ones with weight 1/6 and
diagonal ones with 1/12; at the border the weights of those that are there count. With m the
mask, D the sum of a pixel's weights and N that of its weighted neighbours, the missing
values u solve ``A u = m N((1 - m) x)`` where ``A u = m (D u - N(m u))``, symmetric and
positive definite.

Conjugate gradients take off a factor of ten or so a step, whatever the mask, because a
cycle over coarser grids precedes each: a coarse grid has every second pixel a side, its
values are interpolated bilinearly and cut off at known pixels, ``P``, and its operator is
``Pᵀ A P``, nine numbers a pixel. Steps are of a fixed number and work on whole images, so
that the solution compiles, and takes the same time for every mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.typing import Array

NUM_STEPS = 7
"""Errors of at most a thousandth of the range of the known pixels are left."""
_COARSEST = 2
"""Pixels a side of the coarsest grid."""
_DAMPING = 1.6
"""Below 2, where a step over sums of absolute values can never grow."""

Operator = Callable[[Array], Array]


class _Level(NamedTuple):
    """A grid of the cycle; values are ``(..., h, w)``."""

    apply: Operator
    inverse: Array
    """What a residual is multiplied with in a smoothing step."""
    restrict: Operator | None
    prolong: Operator | None


def impute(values: Array, missing: Array) -> Array:
    """Missing pixels replaced by means of their neighbours.

    Args:
      values: ``(..., H, W)``; those that are missing have no influence.
      missing: bool, of the same rank, and of the same shape but for axes of length one.

    Returns:
      ``(..., H, W)``; zero where all pixels are missing.
    """
    mask = missing.astype(values.dtype)
    levels = _levels(mask)
    right = mask * _neighbours(jnp.where(missing, 0, values))

    def solve(matrix: Operator, right: Array) -> Array:
        return _conjugate_gradients(matrix, mask * right, lambda r: _cycle(levels, r))

    solution = jax.lax.custom_linear_solve(
        levels[0].apply, right, solve, symmetric=True
    )
    return jnp.where(missing, solution, values)


def _neighbours(values: Array) -> Array:
    """``Σ w v`` over the eight neighbours, those inside the image."""
    # Behind a barrier: one kernel for both axes is slow to compile.
    along = jax.lax.optimization_barrier(_taps(values, -1))
    return (_taps(along, -2) - 4 * values) / 12


def _taps(values: Array, axis: int) -> Array:
    """Weights 1, 2, 1 along an axis."""
    zero = jnp.zeros_like(jax.lax.slice_in_dim(values, 0, 1, axis=axis))
    before = jnp.concatenate(
        [zero, jax.lax.slice_in_dim(values, 0, -1, axis=axis)], axis
    )
    after = jnp.concatenate(
        [jax.lax.slice_in_dim(values, 1, None, axis=axis), zero], axis
    )
    return before + 2 * values + after


def _levels(mask: Array) -> list[_Level]:
    """From the finest grid to the coarsest."""
    height, width = mask.shape[-2:]
    degree = _neighbours(jnp.ones_like(mask))

    def laplacian(values: Array) -> Array:
        return mask * (degree * values - _neighbours(mask * values))

    apply: Operator = laplacian
    rows = mask * (degree + _neighbours(mask))
    interpolated = _prolongation(height, width)
    prolong: Operator = lambda v: mask * interpolated(v)
    restrict: Operator = lambda v: _restrict(mask * v)
    levels: list[_Level] = []
    while True:
        inverse = jnp.where(rows > 0, _DAMPING / jnp.where(rows > 0, rows, 1), 0)
        if max(height, width) <= _COARSEST:
            return [*levels, _Level(apply, inverse, None, None)]
        levels.append(_Level(apply, inverse, restrict, prolong))
        coarse = (height + 1) // 2, (width + 1) // 2
        apply, rows = _coarse_operator(levels[-1], mask, coarse)
        prolong = _prolongation(*coarse)
        restrict = _restrict
        height, width = coarse


def _prolongation(height: int, width: int) -> Operator:
    return lambda values: _prolong(values, height, width)


def _coarse_operator(
    fine: _Level, mask: Array, shape: tuple[int, int]
) -> tuple[Operator, Array]:
    """``Pᵀ A P``, and the sums of absolute values of its rows.

    Read off what it makes of nine patterns of ones that lie three pixels apart: of each
    the pixels around one of them are reached by no other.
    """
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    pattern = lambda dy, dx: (y + dy) % 3 * 3 + (x + dx) % 3
    ones = pattern(0, 0)[None] == np.arange(9)[:, None, None]
    ones = ones.reshape(9, *(1,) * (mask.ndim - 2), *shape)
    # With the mask's own axes, so that it is sharded as the mask is.
    ones = jnp.asarray(ones, mask.dtype) + jnp.zeros_like(mask[..., :1, :1])[None]

    def down(values: Array) -> Array:
        assert fine.prolong is not None
        assert fine.restrict is not None
        return fine.restrict(fine.apply(fine.prolong(values)))

    found = jax.vmap(down)(ones)
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    weights = []
    for dy, dx in offsets:
        wanted = pattern(dy, dx)
        chosen = wanted[None] == np.arange(9)[:, None, None]
        chosen = chosen.reshape(9, *(1,) * (mask.ndim - 2), *shape)
        weights.append(jnp.sum(jnp.where(chosen, found, 0), axis=0))

    def apply(values: Array) -> Array:
        border = [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)]
        padded = jnp.pad(values, border)
        total = jnp.zeros_like(values)
        for weight, (dy, dx) in zip(weights, offsets, strict=True):
            rows = jax.lax.slice_in_dim(padded, 1 + dy, 1 + dy + shape[0], axis=-2)
            total += weight * jax.lax.slice_in_dim(
                rows, 1 + dx, 1 + dx + shape[1], axis=-1
            )
        return total

    return apply, sum((jnp.abs(w) for w in weights[1:]), jnp.abs(weights[0]))


def _prolong(values: Array, height: int, width: int) -> Array:
    """Half as many pixels a side to all, bilinearly."""
    return _prolong_axis(_prolong_axis(values, height, -2), width, -1)


def _prolong_axis(values: Array, size: int, axis: int) -> Array:
    v = jnp.swapaxes(values, axis, -1)
    after = jnp.concatenate([v[..., 1:], v[..., -1:]], -1)
    both = jnp.stack([v, (v + after) / 2], -1)
    both = both.reshape(*v.shape[:-1], -1)[..., :size]
    return jax.lax.optimization_barrier(jnp.swapaxes(both, axis, -1))


def _restrict(values: Array) -> Array:
    """The transpose of ``_prolong``."""
    return _restrict_axis(_restrict_axis(values, -2), -1)


def _restrict_axis(values: Array, axis: int) -> Array:
    v = jnp.swapaxes(values, axis, -1)
    if v.shape[-1] % 2:
        v = jnp.concatenate([v, jnp.zeros_like(v[..., :1])], -1)
    pairs = v.reshape(*v.shape[:-1], -1, 2)
    even, halves = pairs[..., 0], pairs[..., 1] / 2
    # Beyond the last pixel of the coarse grid stands its value once more.
    ahead = jnp.concatenate([halves[..., :-1], 2 * halves[..., -1:]], -1)
    behind = jnp.concatenate([jnp.zeros_like(even[..., :1]), halves[..., :-1]], -1)
    total = even + ahead + behind
    return jax.lax.optimization_barrier(jnp.swapaxes(total, axis, -1))


def _cycle(levels: list[_Level], residual: Array) -> Array:
    """An approximate solution: smoothed, corrected on the next grid, smoothed again."""
    level = levels[0]
    smooth = lambda x: x + level.inverse * (residual - level.apply(x))
    x = level.inverse * residual
    if level.restrict is None or level.prolong is None:
        return jax.lax.fori_loop(0, 7, lambda _, x: smooth(x), x)
    coarse = _cycle(levels[1:], level.restrict(residual - level.apply(x)))
    return smooth(x + level.prolong(coarse))


def _conjugate_gradients(
    matrix: Operator, right: Array, precondition: Operator
) -> Array:
    """``NUM_STEPS`` steps from zero, each image and channel with its own lengths."""
    dot = lambda a, b: jnp.sum(a * b, axis=(-2, -1), keepdims=True)
    ratio = lambda a, b: jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)

    State = tuple[Array, Array, Array, Array]

    def step(_: Array, state: State) -> State:
        x, residual, direction, power = state
        towards = precondition(residual)
        new_power = dot(residual, towards)
        direction = towards + ratio(new_power, power) * direction
        along = matrix(direction)
        length = ratio(new_power, dot(direction, along))
        return x + length * direction, residual - length * along, direction, new_power

    zero = jnp.zeros_like(right)
    start = zero, right, zero, dot(zero, right)
    return jax.lax.fori_loop(0, NUM_STEPS, step, start)[0]
