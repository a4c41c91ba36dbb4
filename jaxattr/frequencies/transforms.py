"""Cosine transforms of images ``(..., H, W, C)``, and power at each frequency.

The cosine transforms are matrix products in full precision: exact on every platform, two
small products an image, and differentiable like anything else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxattr import scores
from jaxattr._checks import check_images, fail
from jaxattr._numerics import norms
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


def apply_matrices(rows: ArrayLike, columns: ArrayLike, images: Array) -> Array:
    """``A x Bᵀ`` for every channel: ``(..., P, H), (..., Q, W) -> (..., P, Q, C)``.

    TF32 or bfloat16 products would add noise the size of a grey level, hence the
    precision.
    """
    rows, columns = (jnp.asarray(m, images.dtype) for m in (rows, columns))
    highest = jax.lax.Precision.HIGHEST
    images = jnp.einsum("...ph,...hwc->...pwc", rows, images, precision=highest)
    return jnp.einsum("...qw,...pwc->...pqc", columns, images, precision=highest)


def after(earlier: Array, array: Array) -> Array:
    """The array, but not before ``earlier`` is there.

    Programs on CPU compute Fourier transforms that do not need each other at once, and
    with jaxlib 0.11 two of them can wait for each other's threads for ever. So one is
    made to need the other, by a comparison that is never true and no compiler leaves out.
    """
    never = jnp.max(jnp.real(earlier)) > jnp.inf
    return jnp.where(never, jnp.zeros_like(array), array)


def _dct_matrix(size: int) -> np.ndarray:
    u, x = np.arange(size)[:, None], np.arange(size)[None, :]
    matrix = np.sqrt(2 / size) * np.cos(np.pi * u * (2 * x + 1) / (2 * size))
    matrix[0] /= np.sqrt(2)
    return matrix


def spectral_snr(images: Array, perturbed: Array) -> Array:
    """The signal-to-noise ratio of a perturbation at each spatial frequency.

    ``SNR(r) = ⟨|F x|²⟩_r / ⟨|F (x' - x)|²⟩_r``, means over the channels and over the
    frequencies with ``max(|u|, |v|) = r``; of several images the geometric mean. For
    natural images and noise it falls as a power of r, as the images' spectra do.

    Args:
      images: float ``(N, H, W, C)``.
      perturbed: ``(N, H, W, C)``, in the same unit.

    Returns:
      ``(R,)`` ratios of power (not decibels) at r = 0 .. R - 1 cycles an image,
      ``R = min(H, W) // 2 + 1``; infinite where an image was not changed at all.

    Raises:
      ValueError: shapes that differ, or not float images.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.zeros((1, 8, 8, 1)).at[0, 3, 4, 0].set(1.0)
      >>> ja.spectral_snr(images, 1.1 * images).round(2)
      Array([100., 100., 100., 100., 100.], dtype=float32)

    References:
      Luo, McDermott, O'Riordan. I-ASIDE. TMLR 2024, arXiv:2408.01139, whose exact form
      is not public; this is the one that the library uses.
    """
    images = scores.widen(check_images(images))
    perturbed = check_images(perturbed, "perturbed")
    if perturbed.shape != images.shape:
        raise fail("perturbed", f"shape {images.shape}", perturbed)
    # On the scale of the largest: squares of small changes leave the range.
    axes = (1, 2, 3)
    change = perturbed.astype(images.dtype) - images
    scales = [norms.scale_of(x, axes) for x in (images, change)]
    signal = radial_power(images / scales[0])
    noise = radial_power(after(signal, change / scales[1]))
    changed = noise != 0
    ratio = jnp.log(signal) - jnp.log(jnp.where(changed, noise, 1))
    ratio = ratio + 2 * jnp.log(scales[0] / scales[1])[:, :, 0, 0]
    return jnp.exp(jnp.mean(jnp.where(changed, ratio, jnp.inf), axis=0))


def radial_power(images: Array) -> Array:
    """``(N, R)``: mean ``|F x|²`` over the frequencies with ``max(|u|, |v|) = r``."""
    height, width = images.shape[1:3]
    power = jnp.mean(jnp.abs(jnp.fft.fft2(images, axes=(1, 2))) ** 2, axis=-1)
    u, v = (np.abs(np.fft.fftfreq(n, 1 / n).round()) for n in (height, width))
    radius = np.maximum(u[:, None], v[None, :]).astype(int).reshape(-1)
    num_radii = min(height, width) // 2 + 1
    rings = jax.nn.one_hot(radius, num_radii, dtype=images.dtype)
    rings = rings / jnp.sum(rings, axis=0, keepdims=True)
    highest = jax.lax.Precision.HIGHEST
    return jnp.matmul(power.reshape(len(power), -1), rings, precision=highest)
