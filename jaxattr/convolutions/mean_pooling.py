"""Means over windows, as torch has them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions.blocks import to_blocks, whole_blocks
from jaxattr.convolutions.padding import explicit_padding
from jaxattr.typing import Array


def mean_pool(x: Array, window: int, stride: int) -> Array:
    """The mean of each window, ``(window - 1) // 2`` zeros around the image included."""
    pads = explicit_padding("symmetric", x.shape[1:3], (window, window), stride)
    accumulate = accumulator(x.dtype)
    total = lax.reduce_window(
        x.astype(accumulate),
        np.zeros((), accumulate),
        lax.add,
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), *pads, (0, 0)),
    )
    return (total / window**2).astype(x.dtype)


def block_mean(x: Array, size: int) -> Array:
    """``(N, H, W, C)`` to the mean of each whole block of ``size`` by ``size`` pixels.

    As a mean over axes, whose gradient is a broadcast.
    """
    blocks = to_blocks(whole_blocks(x, size), size, size)
    return jnp.mean(blocks, (2, 4), accumulator(x.dtype)).astype(x.dtype)


def global_mean(x: Array) -> Array:
    """``(N, H, W, C) -> (N, C)``, half precision to float32."""
    return jnp.mean(x, axis=(1, 2), dtype=accumulator(x.dtype))


def adaptive_mean(x: Array, size: int) -> Array:
    """``(N, H, W, C) -> (N, size, size, C)``: means over windows that cover the image.

    Window ``i`` of an axis of ``n`` pixels is ``⌊i n / size⌋ .. ⌈(i + 1) n / size⌉``.
    """
    if x.shape[1:3] == (size, size):
        return x
    rows, columns = (
        jnp.asarray(_window_means(n, size), accumulator(x.dtype)) for n in x.shape[1:3]
    )
    wide = x.astype(rows.dtype)
    return jnp.einsum("ih,nhwc,jw->nijc", rows, wide, columns).astype(x.dtype)


def _window_means(n: int, size: int) -> np.ndarray:
    matrix = np.zeros((size, n))
    for i in range(size):
        window = slice(i * n // size, -(-(i + 1) * n // size))
        matrix[i, window] = 1 / (window.stop - window.start)
    return matrix
