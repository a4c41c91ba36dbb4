"""Orthonormal wavelet transforms of images ``(..., H, W, C)``: Haar and Daubechies.

A level is a matrix product along height and one along width, as in ``transforms.py``.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from jaxattr.frequencies.transforms import apply_matrices
from jaxattr.typing import Array


def wavelet2(images: Array, num_moments: int, levels: int) -> Array:
    """The wavelet transform of J levels.

    A level turns a block of a by b values into four: approximations stand in its first
    ``⌈a/2⌉`` rows and ``⌈b/2⌉`` columns, details along the height below them, details
    along the width beside them, those along both in the corner. The next level takes the
    approximations. The whole is a rotation, so energies are kept.

    Args:
      images: float ``(..., H, W, C)``; sides of any length.
      num_moments: vanishing moments of the wavelet, see ``scaling_filter``.
      levels: J.
    """
    for height, width in _blocks(images, levels):
        rows = level_matrix(height, num_moments)
        columns = level_matrix(width, num_moments)
        block = apply_matrices(rows, columns, images[..., :height, :width, :])
        images = _with_block(images, block)
    return images


def inverse_wavelet2(coefficients: Array, num_moments: int, levels: int) -> Array:
    """The inverse of ``wavelet2``, which is its transpose."""
    for height, width in reversed(_blocks(coefficients, levels)):
        rows = level_matrix(height, num_moments).T
        columns = level_matrix(width, num_moments).T
        block = apply_matrices(rows, columns, coefficients[..., :height, :width, :])
        coefficients = _with_block(coefficients, block)
    return coefficients


def most_levels(height: int, width: int) -> int:
    """How often the longer side can be halved, rounded up, until it is one."""
    return math.ceil(math.log2(max(height, width)))


def level_matrix(size: int, num_moments: int) -> np.ndarray:
    """``(size, size)``: one level along an axis, approximations first; orthonormal.

    ``a_o = Σ_k h_k x_{2o + 1 - n + k}`` and ``d_o = Σ_k (-1)^k h_{2n - 1 - k} x_{...}``,
    h of ``2n`` taps, indices modulo the size (periodic borders). Of an odd size the last
    value is an approximation as it is, and the rest is transformed.
    """
    even = size - size % 2
    half = even // 2
    low = scaling_filter(num_moments)
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    matrix = np.zeros((size, size))
    for row in range(half):
        for tap in range(len(low)):
            column = (2 * row + 1 - num_moments + tap) % even
            matrix[row, column] += low[tap]
            matrix[size - half + row, column] += high[tap]
    if size % 2:
        matrix[half, size - 1] = 1
    return matrix


def scaling_filter(num_moments: int) -> np.ndarray:
    """``(2n,)``: the low-pass filter of Daubechies' wavelet with n vanishing moments.

    n = 1 is Haar's. The polynomial ``Σ_{k<n} C(n-1+k, k) y^k`` in ``y = (2 - z - 1/z)/4``
    is factored, its roots within the unit circle are kept (extremal phase), and
    ``(1 + z)ⁿ`` is put before them.

    Reference: Daubechies. Ten Lectures on Wavelets. SIAM 1992, chapter 6.
    """
    n = num_moments
    in_y = [math.comb(n - 1 + k, k) for k in reversed(range(n))]
    taps = np.ones(1, complex)
    for root in np.roots(in_y):
        pair = np.roots([1, 4 * root - 2, 1])
        taps = np.convolve(taps, [1, -pair[np.argmin(np.abs(pair))]])
    for _ in range(n):
        taps = np.convolve(taps, [1, 1])
    return taps.real * (math.sqrt(2) / taps.real.sum())


def _blocks(images: Array, levels: int) -> list[tuple[int, int]]:
    """Height and width of what each level transforms."""
    height, width = images.shape[-3:-1]
    sizes = []
    for _ in range(levels):
        sizes.append((height, width))
        height, width = -(-height // 2), -(-width // 2)
    return sizes


def _with_block(images: Array, block: Array) -> Array:
    """The images with their upper left block replaced."""
    height, width = block.shape[-3:-1]
    upper = jnp.concatenate([block, images[..., :height, width:, :]], axis=-2)
    return jnp.concatenate([upper, images[..., height:, :, :]], axis=-3)
