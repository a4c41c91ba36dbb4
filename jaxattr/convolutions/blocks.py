"""Images cut into blocks of pixels."""

from __future__ import annotations

from jaxattr.typing import Array


def to_blocks(x: Array, height: int, width: int) -> Array:
    """``(N, H, W, C) -> (N, H/h, h, W/w, w, C)``, one axis at a time for shardings."""
    x = x.reshape(x.shape[0], -1, height, *x.shape[2:])
    return x.reshape(*x.shape[:3], -1, width, x.shape[-1])


def whole_blocks(x: Array, size: int) -> Array:
    """``(N, H, W, C)`` without the rows and columns beyond the last whole block."""
    height, width = (n // size * size for n in x.shape[1:3])
    return x[:, :height, :width]
