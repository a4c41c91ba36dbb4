"""Images cut into blocks of pixels, and put together again."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr.typing import Array


def to_blocks(x: Array, height: int, width: int) -> Array:
    """``(N, H, W, C) -> (N, H/h, h, W/w, w, C)``, one axis at a time for shardings."""
    x = x.reshape(x.shape[0], -1, height, *x.shape[2:])
    return x.reshape(*x.shape[:3], -1, width, x.shape[-1])


def whole_blocks(x: Array, size: int) -> Array:
    """``(N, H, W, C)`` without the rows and columns beyond the last whole block."""
    height, width = (n // size * size for n in x.shape[1:3])
    return x[:, :height, :width]


def interleave(arrays: list[Array], axis: int) -> Array:
    """``[a₀ b₀ a₁ b₁ …]`` along an axis counted from the end."""
    stacked = jnp.stack(arrays, axis)
    shape = list(arrays[0].shape)
    shape[axis] *= len(arrays)
    return stacked.reshape(shape)
