"""Images on grids of one, two, four pixels: neighbours, and from one grid to the next.

A coarse grid has every second pixel a side. Its values are interpolated bilinearly, ``P``;
beyond the last pixel stands its value once more. A linear map that gives a pixel a
weighted sum of its eight neighbours and itself, here a ``Stencil``, is on the coarse grid
``Pᵀ A P``, of nine weights too.

On CPU what counts is that no kernel looks for borders and none computes what it reads
again and again. So images are rows ``(..., h w)``, over which a kernel is one loop without
a condition, and concatenations stand between kernels.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.typing import Array

OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]

Stencil = dict[tuple[int, int], Array]
"""Rows and columns to a neighbour, one of ``OFFSETS``, to its weight at every pixel."""


def flat(values: Array) -> Array:
    """Images ``(..., h, w)`` as rows ``(..., h w)``."""
    return values.reshape(*values.shape[:-2], -1)


def _bordered(before: Array, values: Array, after: Array, axis: int) -> Array:
    """Values between others.

    They are computed once: XLA on CPU lets a kernel compute what it reads, again for
    every pixel that reads it, but leaves a concatenation of three alone.
    """
    return jax.lax.optimization_barrier(jnp.concatenate([before, values, after], axis))


def shifted(values: Array, width: int) -> Stencil:
    """The value of every pixel's neighbours and its own; zero above and below the image.

    Beyond the end of a row stands the next one: callers give it the weight zero.
    """
    count, most = values.shape[-1], width + 1
    # Made of the values, so that they are sharded as they are.
    zeros = jnp.broadcast_to(
        jnp.zeros_like(values[..., :1]), (*values.shape[:-1], most)
    )
    padded = _bordered(zeros, values, zeros, -1)
    first = {(dy, dx): most + dy * width + dx for dy, dx in OFFSETS}
    return {
        k: jax.lax.slice_in_dim(padded, i, i + count, axis=-1) for k, i in first.items()
    }


def apply_stencil(stencil: Stencil, width: int, values: Array) -> Array:
    """The weighted sums, of weights that are zero beyond the border."""
    near = shifted(values, width)
    return sum((w * near[k] for k, w in stencil.items()), jnp.zeros_like(values))


def framed(images: Array, height: int, width: int, more: int = 0) -> Array:
    """Zeros around ``(..., h, w)``: from one before the first to ``2 ⌈h / 2⌉ + 1``."""
    sides = [(1 + more, 2 + n % 2 + more) for n in (height, width)]
    return jnp.pad(images, [(0, 0)] * (images.ndim - 2) + sides)


def coarse_stencil(fine: Stencil) -> Stencil:
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
    return {k: found[k] for k in OFFSETS}


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


def prolong(values: Array, height: int, width: int) -> Array:
    """Half as many pixels a side to all, bilinearly."""
    coarse = values.reshape(*values.shape[:-1], (height + 1) // 2, (width + 1) // 2)
    return flat(_prolong_axis(_prolong_axis(coarse, width, -1), height, -2))


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


def restrict(values: Array, height: int, width: int) -> Array:
    """The transpose of ``prolong``."""
    fine = values.reshape(*values.shape[:-1], height, width)
    return flat(_restrict_axis(_restrict_axis(fine, -2), -1))


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
