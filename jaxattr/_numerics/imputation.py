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

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.typing import Array

NUM_STEPS = 5
"""Errors of at most a thousandth of the range of the known pixels are left, where one
pixel of 224 x 224 is known; of other masks a ten-thousandth."""
_VISITED_TWICE = 2
"""The grid, a quarter of the pixels a side, that each cycle visits twice: wide holes need
it, and it costs a sixteenth."""
_DAMPING = 1.6
"""Below 2, where a step over sums of absolute values can never grow."""

Operator = Callable[[Array], Array]

Stencil = dict[tuple[int, int], Array]
"""Rows and columns to a neighbour, to its weight at every pixel ``(..., h w)``."""
_OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


class _Level(NamedTuple):
    """A grid of the cycle; values are ``(..., h w)``."""

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
    height, width = values.shape[-2:]
    mask = _flat(missing.astype(values.dtype))
    levels = _levels(mask, height, width)
    right = mask * _neighbours(_flat(jnp.where(missing, 0, values)), width)

    def solve(matrix: Operator, right: Array) -> Array:
        return _conjugate_gradients(matrix, mask * right, lambda r: _cycle(levels, r))

    solution = jax.lax.custom_linear_solve(
        levels[0].apply, right, solve, symmetric=True
    )
    return jnp.where(missing, solution.reshape(values.shape), values)


def _flat(values: Array) -> Array:
    """Images ``(..., h, w)`` as ``(..., h w)``, the form in which all is computed.

    A kernel over such rows is one loop without a condition, several times as fast as one
    that looks for the borders of images.
    """
    return values.reshape(*values.shape[:-2], -1)


def _bordered(before: Array, values: Array, after: Array, axis: int) -> Array:
    """Values between others: they are made once here.

    On CPU, kernels compute what they read again and again, a cycle in a cycle; only a
    concatenation of three stands alone.
    """
    return jax.lax.optimization_barrier(jnp.concatenate([before, values, after], axis))


def _shifted(values: Array, offsets: Sequence[int]) -> list[Array]:
    """Images ``(..., h w)``, moved by so many pixels; zeros come in.

    What is moved over the end of a row comes in with the next one: callers give it the
    weight zero.
    """
    count, most = values.shape[-1], max(map(abs, offsets))
    # Made of the values, so that they are sharded as they are.
    zeros = jnp.broadcast_to(
        jnp.zeros_like(values[..., :1]), (*values.shape[:-1], most)
    )
    padded = _bordered(zeros, values, zeros, -1)
    part = functools.partial(jax.lax.slice_in_dim, padded, axis=-1)
    return [part(most + k, most + k + count) for k in offsets]


def _has_neighbour(values: Array, width: int) -> dict[int, Array]:
    """Whether there is a pixel one column on, 1 or 0, ``(..., h w)`` but for ones."""
    count = values.shape[-1]
    column = np.arange(count).reshape(*(1,) * (values.ndim - 1), count) % width
    found = {-1: column > 0, 0: column >= 0, 1: column < width - 1}
    return {dx: jnp.asarray(there, values.dtype) for dx, there in found.items()}


def _degree(values: Array, height: int, width: int) -> Array:
    """``D``: the weights of a pixel's neighbours together, ``(..., h w)`` but for ones."""
    along = lambda size: 2.0 + (np.arange(size) > 0) + (np.arange(size) < size - 1)
    found = (np.outer(along(height), along(width)) - 4) / 12
    return jnp.asarray(found.reshape(*(1,) * (values.ndim - 1), -1), values.dtype)


def _neighbours(values: Array, width: int) -> Array:
    """``Σ w v`` over the eight neighbours, those inside the image."""
    near = dict(zip(_OFFSETS, _shifted(values, _offsets_flat(width)), strict=True))
    column = lambda dx: near[-1, dx] + 2 * near[0, dx] + near[1, dx]
    has = _has_neighbour(values, width)
    total = 2 * column(0) + has[-1] * column(-1) + has[1] * column(1)
    return (total - 4 * values) / 12


def _offsets_flat(width: int) -> list[int]:
    return [dy * width + dx for dy, dx in _OFFSETS]


def _levels(mask: Array, height: int, width: int) -> list[_Level]:
    """From the finest grid to the coarsest."""
    degree = mask * _degree(mask, height, width)
    # Residuals and corrections are zero outside of the mask.
    near = functools.partial(_neighbours, width=width)
    apply: Operator = lambda v: degree * v - mask * near(v)
    interpolated = functools.partial(_prolong, height=height, width=width)
    prolong: Operator = lambda v: mask * interpolated(v)
    rows = degree + mask * near(mask)
    fine = _laplacian(mask, height, width)
    levels: list[_Level] = []
    while True:
        coarsest = max(height, width) == 1
        damping = 1.0 if coarsest else _DAMPING
        inverse = jnp.where(rows > 0, damping / jnp.where(rows > 0, rows, 1), 0)
        if coarsest:
            return [*levels, _Level(apply, inverse, None, None)]
        restrict = functools.partial(_restrict, height=height, width=width)
        levels.append(_Level(apply, inverse, restrict, prolong))
        images = _coarse_stencil(fine)
        height, width = (height + 1) // 2, (width + 1) // 2
        fine = {k: _framed(w, height, width) for k, w in images.items()}
        stencil = {k: _flat(w) for k, w in images.items()}
        rows = sum(map(jnp.abs, stencil.values()), jnp.zeros_like(mask[..., :1]))
        apply = functools.partial(_apply_stencil, stencil, width)
        prolong = functools.partial(_prolong, height=height, width=width)


def _framed(images: Array, height: int, width: int, more: int = 0) -> Array:
    """Zeros around ``(..., h, w)``: from one before the first to ``2 ⌈h / 2⌉ + 1``."""
    sides = [(1 + more, 2 + n % 2 + more) for n in (height, width)]
    return jnp.pad(images, [(0, 0)] * (images.ndim - 2) + sides)


def _laplacian(mask: Array, height: int, width: int) -> Stencil:
    """``A``, of missing pixels among missing pixels, with a frame."""
    image = lambda values: values.reshape(*values.shape[:-1], height, width)
    framed = _framed(image(mask), height, width, more=1)
    rows, columns = (n - 2 for n in framed.shape[-2:])

    def moved(dy: int, dx: int) -> Array:
        part = jax.lax.slice_in_dim(framed, 1 + dy, 1 + dy + rows, axis=-2)
        return jax.lax.slice_in_dim(part, 1 + dx, 1 + dx + columns, axis=-1)

    own = moved(0, 0)
    weights = {
        (dy, dx): -own * moved(dy, dx) / (6 * (1 + abs(dy * dx))) for dy, dx in _OFFSETS
    }
    degree = _framed(image(_degree(mask, height, width)), height, width)
    return weights | {(0, 0): own * degree}


def _apply_stencil(stencil: Stencil, width: int, values: Array) -> Array:
    near = _shifted(values, _offsets_flat(width))
    # The weight of what is beyond the border is zero.
    terms = (w * v for w, v in zip(stencil.values(), near, strict=True))
    return sum(terms, jnp.zeros_like(values))


def _coarse_stencil(fine: Stencil) -> Stencil:
    """``Pᵀ A P`` of what has a frame: P takes one axis after the other, as it does."""
    three = (-1, 0, 1)
    half: Stencil = {}
    for dy in three:
        weights = _coarse_weights(*(fine[dy, dx] for dx in three), axis=-1)
        half |= {(dy, dx): w for dx, w in zip(three, weights, strict=True)}
    found: Stencil = {}
    for dx in three:
        weights = _coarse_weights(*(half[dy, dx] for dy in three), axis=-2)
        found |= {(dy, dx): w for dy, w in zip(three, weights, strict=True)}
    return {k: found[k] for k in _OFFSETS}


def _coarse_weights(
    before: Array, own: Array, after: Array, *, axis: int
) -> tuple[Array, Array, Array]:
    """Weights of the neighbours along an axis, of every second pixel.

    A fine pixel between two coarse ones is half of each. So what it has to do with its
    neighbours is shared among those two, as is what they have to do with it.
    """
    count = (own.shape[axis] - 3) // 2
    part = functools.partial(jax.lax.slice_in_dim, axis=axis)

    def near(values: Array, offset: int) -> Array:
        """At pixel 2 X + offset, of X = 0 .. count: one is beyond the last."""
        return part(values, 1 + offset, 2 + offset + 2 * count, stride=2)

    left = near(own, -1) / 4 + near(before, -1) / 2
    right = near(own, 1) / 4 + near(after, 1) / 2
    middle = near(own, 0) + near(own, -1) / 4 + near(own, 1) / 4
    middle += (near(before, 0) + near(after, 0) + near(after, -1) + near(before, 1)) / 2
    left, right = left + near(before, 0) / 2, right + near(after, 0) / 2
    # Beyond the last stands its value once more: the two are one.
    last = part(right, -2, -1) + part(left, -1, None) + part(middle, -1, None)
    middle = jnp.concatenate([part(middle, 0, -2), part(middle, -2, -1) + last], axis)
    right = jnp.concatenate([part(right, 0, -2), jnp.zeros_like(last)], axis)
    found = part(left, 0, -1), middle, right
    return jax.lax.optimization_barrier(found)


def _prolong(values: Array, height: int, width: int) -> Array:
    """Half as many pixels a side to all, bilinearly."""
    coarse = values.reshape(*values.shape[:-1], (height + 1) // 2, (width + 1) // 2)
    return _flat(_prolong_axis(_prolong_axis(coarse, width, -1), height, -2))


def _prolong_axis(values: Array, size: int, axis: int) -> Array:
    count = values.shape[axis]
    part = functools.partial(jax.lax.slice_in_dim, axis=axis)
    last = part(values, -1, None)
    bordered = _bordered(jnp.zeros_like(last), values, last, axis)
    own, after = part(bordered, 1, count + 1), part(bordered, 2, count + 2)
    both = jnp.stack([own, (own + after) / 2], axis)
    shape = list(values.shape)
    shape[axis] *= 2
    return part(both.reshape(shape), 0, size)


def _restrict(values: Array, height: int, width: int) -> Array:
    """The transpose of ``_prolong``."""
    fine = values.reshape(*values.shape[:-1], height, width)
    return _flat(_restrict_axis(_restrict_axis(fine, -2), -1))


def _restrict_axis(values: Array, axis: int) -> Array:
    size = values.shape[axis]
    count = (size + 1) // 2
    part = functools.partial(jax.lax.slice_in_dim, axis=axis)
    zero = jnp.zeros_like(part(values, 0, 1))
    bordered = _bordered(zero, values, zero, axis)
    before, own, after = (
        part(bordered, k, k + 2 * count - 1, stride=2) for k in range(3)
    )
    # Beyond the last pixel of the coarse grid stands its value once more.
    share = np.full(count, 0.5)
    share[-1] = 1
    share = share.reshape(*(1,) * (values.ndim - 1), count).swapaxes(-1, axis)
    return own + before / 2 + jnp.asarray(share, values.dtype) * after


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
    highest = jax.lax.Precision.HIGHEST
    product = functools.partial(jnp.einsum, "...p,...p->...", precision=highest)
    dot = lambda a, b: product(a, b)[..., None]
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
    start = zero, right, zero, zero[..., :1]
    return jax.lax.fori_loop(0, NUM_STEPS, step, start)[0]
