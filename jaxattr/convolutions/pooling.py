"""Pooling as torch has it: where its windows lie and where its gradients go."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions.blocks import to_blocks, whole_blocks
from jaxattr.convolutions.padding import Padding, explicit_padding
from jaxattr.typing import Array


def max_pool(
    x: Array,
    window: int,
    stride: int,
    *,
    padding: Padding = "valid",
    ceil_mode: bool = False,
) -> Array:
    """The largest of each window; of equal ones the first has the gradient.

    Args:
      x: ``(N, H, W, C)``.
      window: rows and columns of a window.
      stride: from one window to the next.
      padding: as for convolutions; what is padded never wins.
      ceil_mode: a window that reaches over the lower or right edge counts too.
    """
    pads = explicit_padding(padding, x.shape[1:3], (window, window), stride)
    if ceil_mode:
        pads = tuple(
            (low, high + -(n + low + high - window) % stride)
            for n, (low, high) in zip(x.shape[1:3], pads, strict=True)
        )
    none = (0, 0, 0)
    config = [none, *((*pair, 0) for pair in pads), none]
    # Without the barrier XLA may fuse whatever made the image into every shift.
    x = lax.optimization_barrier(lax.pad(x, jnp.asarray(-jnp.inf, x.dtype), config))
    rows, columns = ((n - window) // stride * stride + 1 for n in x.shape[1:3])
    shifts = [
        x[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(window)
        for j in range(window)
    ]
    return lax.select_n(_first_largest(shifts), *shifts)


def _first_largest(arrays: Sequence[Array]) -> Array:
    """Which of them is largest, the first of equal ones; the last NaN if one is.

    A fold of comparisons, and a choice by number: on CPU the gradient of a windowed
    reduction is slower (by a fifth in VGG-16), and that of a fold of choices, each of
    which waits for those before it, five to ten times as slow.
    """
    largest, where = arrays[0], jnp.zeros(arrays[0].shape, jnp.int32)
    for number, array in enumerate(arrays[1:], 1):
        is_larger = (array > largest) | jnp.isnan(array)
        largest = jnp.where(is_larger, array, largest)
        where = jnp.where(is_larger, number, where)
    return where


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
