"""Attention in windows of an image, which may be shifted around its edges.

References:
  Z. Liu, Y. Lin, Y. Cao, H. Hu, Y. Wei, Z. Zhang, S. Lin, B. Guo, "Swin Transformer:
  Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, arXiv:2103.14030.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxattr.convolutions.blocks import to_blocks
from jaxattr.convolutions.padding import pad
from jaxattr.typing import Array

APART = -100.0
"""Added to the logits of pixels that only the shift has brought together."""


def in_windows(
    attention: Callable[[Array, Array], Array],
    x: Array,
    bias: Array,
    window: int,
    shift: int,
) -> Array:
    """Attention among the pixels of every window.

    An image that does not divide into windows is padded with zeros below and on the
    right, which take part, as torchvision has it.

    Args:
      attention: of tokens ``(N', T, C)``, a window a row, and a bias of their logits,
        ``(1 or N', heads, T, T)``.
      x: ``(N, H, W, C)``.
      bias: ``(1, heads, T, T)``, the same in all windows.
      window: rows and columns of a window; ``T`` is its square.
      shift: pixels by which the windows lie lower and further right. Along an axis of
        one window there is none.
    """
    rows, height, width, channels = x.shape
    x = pad(x, ((0, -height % window), (0, -width % window)))
    size = x.shape[1:3]
    shifts = tuple(0 if window >= n else shift for n in size)
    if any(shifts):
        x = jnp.roll(x, [-s for s in shifts], (1, 2))
        mask = jnp.asarray(_mask(size, window, shifts), bias.dtype)
        # (1, heads, T, T) and (windows, T, T) to a bias for each window of each image.
        each = (rows, len(mask), *bias.shape[1:])
        bias = jnp.broadcast_to(bias, each[1:]) + jnp.broadcast_to(
            mask[:, None], each[1:]
        )
        bias = jnp.broadcast_to(bias, each).reshape(-1, *bias.shape[1:])
    # One group of axes at a time, for shardings.
    parted = to_blocks(x, window, window).swapaxes(2, 3)
    x = parted.reshape(-1, *parted.shape[3:]).reshape(-1, window**2, channels)
    x = attention(x, bias)
    x = x.reshape(-1, window, window, channels).reshape(parted.shape).swapaxes(2, 3)
    x = x.reshape(rows, size[0], *x.shape[3:]).reshape(rows, *size, channels)
    if any(shifts):
        x = jnp.roll(x, shifts, (1, 2))
    return x[:, :height, :width]


def _mask(size: tuple[int, ...], window: int, shifts: tuple[int, ...]) -> np.ndarray:
    """``(windows, T, T)``, zero between pixels that were neighbours before the shift."""
    rows, columns = (
        _regions(n, window, shift) for n, shift in zip(size, shifts, strict=True)
    )
    regions = 3 * rows[:, None] + columns
    blocks = regions.reshape(size[0] // window, window, -1, window)
    tokens = blocks.swapaxes(1, 2).reshape(-1, window**2)
    return np.where(tokens[:, None] == tokens[:, :, None], 0.0, APART)


def _regions(size: int, window: int, shift: int) -> np.ndarray:
    """Along an axis: 0, in the last window 1, and 2 for what came around the edge."""
    if shift == 0:
        return np.zeros(size, int)
    return np.repeat([0, 1, 2], [size - window, window - shift, shift])
