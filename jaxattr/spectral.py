"""Cosine transform pairs of images ``(..., H, W, C)``, channel by channel.

The transforms are matrix products in full precision: exact on every platform, two
small products an image, and differentiable like anything else.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.typing import Array


def dct2(images: Array) -> Array:
    """Orthonormal type-II cosine transform over height and width.

    ``X = C_H x C_Wᵀ`` with ``C_uh = √((2 - [u=0]) / H) cos(π u (2h + 1) / 2H)``. It
    keeps energies (Parseval), so white noise of one domain is white noise of the other.
    """
    height, width = images.shape[-3:-1]
    rows, columns = _dct_matrix(height), _dct_matrix(width)
    return apply_matrices(rows, columns, images)


def idct2(coefficients: Array) -> Array:
    """The inverse of ``dct2``, which is its transpose."""
    height, width = coefficients.shape[-3:-1]
    return apply_matrices(_dct_matrix(height).T, _dct_matrix(width).T, coefficients)


def apply_matrices(rows: Any, columns: Any, images: Array) -> Array:
    """``A x Bᵀ`` for every channel: ``(..., P, H), (..., Q, W) -> (..., P, Q, C)``.

    TF32 or bfloat16 products would add noise the size of a grey level, hence the
    precision.
    """
    rows, columns = (jnp.asarray(m, images.dtype) for m in (rows, columns))
    highest = jax.lax.Precision.HIGHEST
    images = jnp.einsum("...ph,...hwc->...pwc", rows, images, precision=highest)
    return jnp.einsum("...qw,...pwc->...pqc", columns, images, precision=highest)


def _dct_matrix(size: int) -> np.ndarray:
    u, x = np.arange(size)[:, None], np.arange(size)[None, :]
    matrix = np.sqrt(2 / size) * np.cos(np.pi * u * (2 * x + 1) / (2 * size))
    matrix[0] /= np.sqrt(2)
    return matrix
