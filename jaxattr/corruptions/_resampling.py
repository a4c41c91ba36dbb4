"""Resampling and smoothing as matrices, and shifts with repeated borders."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from jaxattr.frequencies.transforms import apply_matrices
from jaxattr.typing import Array


def smooth(images: Array, stddev: float, *, truncate: float, mode: str) -> Array:
    """Gaussian smoothing of ``(..., H, W, C)``, as ``skimage.filters.gaussian``."""
    if stddev <= 0:
        return images
    rows, columns = (
        _gaussian_matrix(size, stddev, truncate, mode) for size in images.shape[-3:-1]
    )
    return apply_matrices(rows, columns, images)


def _gaussian_matrix(
    size: int, stddev: float, truncate: float, mode: str
) -> np.ndarray:
    """``(size, size)``; the border is repeated (``nearest``) or reflected."""
    radius = int(truncate * stddev + 0.5)
    taps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (taps / stddev) ** 2)
    weights /= weights.sum()
    position = np.arange(size)[:, None] + taps[None, :]
    if mode == "nearest":
        position = position.clip(0, size - 1)
    else:
        # d c b a | a b c d | d c b a, as often as the taps need.
        position = position % (2 * size)
        position = np.where(position < size, position, 2 * size - 1 - position)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], position), weights[None, :])
    return matrix


def zoom(images: Array, factor: float) -> Array:
    """The middle of the images enlarged, bilinear, as ``scipy.ndimage.zoom``."""
    rows, columns = (zoom_matrix(n, factor) for n in images.shape[-3:-1])
    return apply_matrices(rows, columns, images)


def zoom_matrix(size: int, factor: float) -> np.ndarray:
    """``(size, size)``: from an axis to its enlarged middle."""
    crop = math.ceil(size / factor)
    first = (size - crop) // 2
    enlarged = round(crop * factor)
    trim = (enlarged - size) // 2
    step = (crop - 1) / max(enlarged - 1, 1)
    position = (np.arange(size) + trim) * step
    below = np.floor(position).astype(int).clip(0, crop - 1)
    above = (below + 1).clip(max=crop - 1)
    part = position - below
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    np.add.at(matrix, (rows, first + below), 1 - part)
    np.add.at(matrix, (rows, first + above), part)
    return matrix


def box_matrix(size: int, new_size: int) -> np.ndarray:
    """``(new_size, size)``: means of the pixels in each new one, as Pillow's BOX."""
    scale = size / new_size
    width = max(scale, 1.0)
    matrix = np.zeros((new_size, size))
    for row in range(new_size):
        center = (row + 0.5) * scale
        first = max(0, int(center - 0.5 * width + 0.5))
        last = min(size, int(center + 0.5 * width + 0.5))
        offset = (np.arange(first, last) - center + 0.5) / width
        matrix[row, first:last] = (offset > -0.5) & (offset <= 0.5)
    return matrix / matrix.sum(1, keepdims=True)


def shift(image: Array, down: Array, right: Array) -> Array:
    """``(H, W, C)`` moved by whole pixels, what enters repeats the border."""
    height, width = image.shape[:2]
    rows = jnp.clip(jnp.arange(height) - down, 0, height - 1)
    columns = jnp.clip(jnp.arange(width) - right, 0, width - 1)
    return image[rows][:, columns]
