"""Missing pixels as weighted means of their neighbours: a sparse system, by multigrid.

Every missing pixel is the mean of its neighbours, straight ones with weight 1/6 and
diagonal ones with 1/12; at the border the weights of those that are there count. With m the
mask, D the sum of a pixel's weights and N that of its weighted neighbours, the missing
values u solve ``A u = m N((1 - m) x)`` where ``A u = m (D u - N(m u))``, symmetric and
positive definite.

Conjugate gradients take off a factor of ten or so a step, whatever the mask, because a
cycle over coarser ``grids`` precedes each; corrections are cut off at known pixels. Steps
are of a fixed number and work on whole images, so that the solution compiles, and takes the
same time for every mask.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxattr._numerics.grids import (
    OFFSETS,
    Stencil,
    apply_stencil,
    coarse_stencil,
    flat,
    framed,
    prolong,
    restrict,
    shifted,
)
from jaxattr.typing import Array

NUM_STEPS = 5
"""Errors of less than a ten-thousandth of the range of the known pixels are left, whatever
is missing of 224 x 224 pixels: blobs, stripes, scattered pixels, all but one."""
_VISITED_TWICE = 2
"""The grid, a quarter of the pixels a side, that each cycle visits twice: wide holes need
it, and it costs a sixteenth."""
_DAMPING = 1.6
"""Below 2, where a step over sums of absolute values can never grow."""

Operator = Callable[[Array], Array]


class _Level(NamedTuple):
    """A grid of the cycle; values are ``(..., h w)``."""

    apply: Operator
    inverse: Array
    """What a residual is multiplied with in a smoothing step."""
    restrict: Operator | None
    prolong: Operator | None


def imputation(missing: Array, dtype: DTypeLike) -> Operator:
    """What replaces missing pixels by means of their neighbours, in any images.

    Args:
      missing: bool ``(..., H, W)``, of the rank of the images, and of the same shape but
        for axes of length one.
      dtype: of the images.

    Returns:
      A function of images ``(..., H, W)``, where missing pixels have no influence, to
      such images; zero where all pixels are missing. What hangs on the mask alone is
      computed once, for all images that it is called with.
    """
    height, width = missing.shape[-2:]
    mask = flat(missing.astype(dtype))
    there = 1 - mask
    levels = _levels(mask, height, width)
    number = jnp.maximum(_dot(there, there), 1)

    def solve(matrix: Operator, right: Array) -> Array:
        return _conjugate_gradients(matrix, mask * right, lambda r: _cycle(levels, r))

    def impute(values: Array) -> Array:
        # From their mean on: where few are known the system is nearly singular, and what
        # is the same everywhere would lose its digits.
        known = flat(jnp.where(missing, 0, values))
        mean = _dot(there, known) / number
        right = mask * _neighbours(there * (known - mean), width)
        solution = jax.lax.custom_linear_solve(
            levels[0].apply, right, solve, symmetric=True
        )
        return jnp.where(missing, (mean + solution).reshape(values.shape), values)

    return impute


def _degree(values: Array, height: int, width: int) -> Array:
    """``D``: the weights of a pixel's neighbours together, ``(..., h w)`` but for ones."""
    along = lambda size: 2.0 + (np.arange(size) > 0) + (np.arange(size) < size - 1)
    found = (np.outer(along(height), along(width)) - 4) / 12
    return jnp.asarray(found.reshape(*(1,) * (values.ndim - 1), -1), values.dtype)


def _neighbours(values: Array, width: int) -> Array:
    """``Σ w v`` over the eight neighbours, those inside the image."""
    near = shifted(values, width)
    number = np.arange(values.shape[-1]).reshape(*(1,) * (values.ndim - 1), -1) % width
    inside = {-1: number > 0, 1: number < width - 1}
    column = lambda dx: near[-1, dx] + 2 * near[0, dx] + near[1, dx]
    total = 2 * column(0) - 4 * values
    total += sum(jnp.asarray(inside[dx], values.dtype) * column(dx) for dx in inside)
    return total / 12


def _levels(mask: Array, height: int, width: int) -> list[_Level]:
    """From the finest grid to the coarsest, of one pixel."""
    degree = mask * _degree(mask, height, width)
    # Residuals and corrections are zero outside of the mask.
    near = functools.partial(_neighbours, width=width)
    apply: Operator = lambda v: degree * v - mask * near(v)
    interpolated = functools.partial(prolong, height=height, width=width)
    up: Operator = lambda v: mask * interpolated(v)
    rows = degree + mask * near(mask)
    fine = _laplacian(mask, height, width)
    levels: list[_Level] = []
    while True:
        coarsest = max(height, width) == 1
        damping = 1.0 if coarsest else _DAMPING
        inverse = jnp.where(rows > 0, damping / jnp.where(rows > 0, rows, 1), 0)
        if coarsest:
            return [*levels, _Level(apply, inverse, None, None)]
        down = functools.partial(restrict, height=height, width=width)
        levels.append(_Level(apply, inverse, down, up))
        images = coarse_stencil(fine)
        height, width = (height + 1) // 2, (width + 1) // 2
        fine = {k: framed(w, height, width) for k, w in images.items()}
        stencil = {k: flat(w) for k, w in images.items()}
        rows = sum(map(jnp.abs, stencil.values()), jnp.zeros_like(mask[..., :1]))
        apply = functools.partial(apply_stencil, stencil, width)
        up = functools.partial(prolong, height=height, width=width)


def _laplacian(mask: Array, height: int, width: int) -> Stencil:
    """``A``, of missing pixels among missing pixels, with a frame."""
    image = lambda values: values.reshape(*values.shape[:-1], height, width)
    wide = framed(image(mask), height, width, more=1)
    rows, columns = (n - 2 for n in wide.shape[-2:])

    def moved(dy: int, dx: int) -> Array:
        part = jax.lax.slice_in_dim(wide, 1 + dy, 1 + dy + rows, axis=-2)
        return jax.lax.slice_in_dim(part, 1 + dx, 1 + dx + columns, axis=-1)

    own = moved(0, 0)
    weights = {
        (dy, dx): -own * moved(dy, dx) / (6 * (1 + abs(dy * dx))) for dy, dx in OFFSETS
    }
    degree = framed(image(_degree(mask, height, width)), height, width)
    return weights | {(0, 0): own * degree}


def _cycle(levels: list[_Level], residual: Array, depth: int = 0) -> Array:
    """An approximate solution: smoothed, corrected on the next grid, smoothed again."""
    level = levels[0]
    left = lambda x: residual - level.apply(x)
    x = level.inverse * residual
    if level.restrict is None or level.prolong is None:
        return x  # One pixel.
    below = level.restrict(left(x))
    correct = lambda residual: _cycle(levels[1:], residual, depth + 1)
    if depth + 1 == _VISITED_TWICE:
        again = lambda _, y: y + correct(below - levels[1].apply(y))
        correction = jax.lax.fori_loop(0, 2, again, jnp.zeros_like(below))
    else:
        correction = correct(below)
    x += level.prolong(correction)
    return x + level.inverse * left(x)


def _conjugate_gradients(
    matrix: Operator, right: Array, precondition: Operator
) -> Array:
    """``NUM_STEPS`` steps from zero, each image and channel with its own lengths."""
    ratio = lambda a, b: jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)

    State = tuple[Array, Array, Array, Array]

    def step(_: Array, state: State) -> State:
        x, residual, direction, power = state
        towards = precondition(residual)
        new_power = _dot(residual, towards)
        direction = towards + ratio(new_power, power) * direction
        along = matrix(direction)
        length = ratio(new_power, _dot(direction, along))
        return x + length * direction, residual - length * along, direction, new_power

    zero = jnp.zeros_like(right)
    start = zero, right, zero, zero[..., :1]
    return jax.lax.fori_loop(0, NUM_STEPS, step, start)[0]


def _dot(a: Array, b: Array) -> Array:
    """``(..., 1)``; on CPU several times as fast as the sum of a product."""
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum("...p,...p->...", a, b, precision=highest)[..., None]
