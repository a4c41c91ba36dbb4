"""Fourier transforms of images as matrix products in full precision.

The compiler does not split a Fourier transform over devices: images that lie on several
are gathered on each of them first. A product by a matrix stays where its images are, and
waits for no threads but its own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.typing import Array


def rfft2(images: Array) -> tuple[Array, Array]:
    """Real and imaginary part of the half plane, ``(..., H, W, C)`` to ``(..., C, H, V)``.

    ``X_uv = Σ_hw x_hw exp(-2πi (uh / H + vw / W))`` for v = 0 .. V - 1, ``V = W//2 + 1``.
    """
    height, width = images.shape[-3:-1]
    half = width // 2 + 1
    rows, columns = _exponentials(height), _exponentials(width)[:, :half]
    real, imaginary = (
        _product("...hwc,wv->...chv", images, m) for m in _parts(columns)
    )
    both = jnp.concatenate([real, imaginary], axis=-2)
    both = _product("uh,...hv->...uv", _as_real(rows), both)
    return both[..., :height, :], both[..., height:, :]


def irfft2(real: Array, imaginary: Array, width: int) -> Array:
    """The inverse of ``rfft2``, ``(..., C, H, V)`` to ``(..., H, W, C)``.

    As every inverse onto real images it leaves out what is not Hermitian on the columns
    that are their own mirror image.
    """
    height, half = real.shape[-2:]
    rows = np.conj(_exponentials(height)) / height
    # What stands for a column and for its mirror image counts twice.
    column = np.arange(half)
    times = np.where((column == 0) | (2 * column == width), 1, 2)[:, None] / width
    columns = np.conj(_exponentials(width)[:half]) * times
    both = jnp.concatenate([real, imaginary], axis=-2)
    both = _product("hu,...uv->...hv", _as_real(rows), both)
    cosines, sines = columns.real, -columns.imag
    images = _product("...chv,vw->...hwc", both[..., :height, :], cosines)
    return images + _product("...chv,vw->...hwc", both[..., height:, :], sines)


def _exponentials(size: int) -> np.ndarray:
    """``exp(-2πi uh / n)``, ``(n, n)``; the angle is reduced while it is a whole number."""
    index = np.arange(size)
    return np.exp(-2j * np.pi * (np.outer(index, index) % size) / size)


def _parts(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return matrix.real, matrix.imag


def _as_real(matrix: np.ndarray) -> np.ndarray:
    """What does to (real, imaginary) what the matrix does to complex numbers."""
    return np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])


def _product(subscripts: str, a: Array | np.ndarray, b: Array | np.ndarray) -> Array:
    """An einsum of two, one of which is a constant of the dtype of the other."""
    dtype = a.dtype if isinstance(a, jax.Array) else b.dtype
    a, b = (jnp.asarray(x, dtype) for x in (a, b))
    return jnp.einsum(subscripts, a, b, precision=jax.lax.Precision.HIGHEST)
