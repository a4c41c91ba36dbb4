"""Rings of spatial frequency: masks over the spectrum, and the images they cut out."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxattr import scores
from jaxattr._checks import (
    check_choice,
    check_float_array,
    check_images,
    check_integer,
    fail,
)
from jaxattr.typing import Array

CONVENTIONS = ("centered", "released")
NORMS = ("linf", "l2")


def band_masks(
    height: int,
    width: int,
    num_bands: int,
    *,
    norm: str = "linf",
    convention: str = "centered",
) -> Array:
    """Splits the spectrum into M rings of equal width, the lowest frequencies first.

    With d = min(H, W), integer frequencies (u, v) and ``r = ‖(u, v)‖``, ring i holds
    ``i d/2 ≤ M r < (i + 1) d/2``. The Nyquist frequency, and with ``l2`` the corners,
    belong to the last ring.

    Args:
      height: H in pixels.
      width: W in pixels.
      num_bands: M, at most ``min(H, W) // 2 + 1`` (``released``: ``min(H, W)``, round
        rings half of it), so that no ring is empty.
      norm: ``linf``, square rings, which fill a square spectrum; or ``l2``, round ones.
      convention: ``centered``, rings around frequency zero, symmetric in ±(u, v), so
        that a band of a real image is real; or ``released``, the boxes of the authors'
        code, which for even sides sit half a frequency off the centre.

    Returns:
      ``(M, H, W)`` zeros and ones, float32, in the order of ``fft2``. Masks are
      disjoint. They sum to one for square images; of others, frequencies beyond
      ``min(H, W) / 2`` along the longer side belong to no band.

    Raises:
      ValueError: an unknown norm or convention; more bands than the image allows.

    Example:
      >>> import jaxattr as ja
      >>> ja.band_masks(224, 224, 8).sum((1, 2)).astype(int)[:4]
      Array([ 729, 2296, 3864, 5432], dtype=int32)
      >>> ja.band_masks(224, 224, 8, convention="released").sum((1, 2)).astype(int)[:4]
      Array([ 784, 2352, 3920, 5488], dtype=int32)

    References:
      Luo, McDermott, O'Riordan. I-ASIDE. TMLR 2024, arXiv:2408.01139. Their code is the
      ``released`` convention, but for its rounding of ``d · (i / M)`` in floating point
      and for ``l2``, which it does not have.
    """
    height = check_integer("height", height)
    width = check_integer("width", width)
    num_bands = check_integer("num_bands", num_bands)
    check_choice("norm", norm, NORMS)
    check_choice("convention", convention, CONVENTIONS)
    side = min(height, width)
    most = side // 2 + 1
    if convention == "released":
        most = side if norm == "linf" else (side + 1) // 2
    if num_bands > most:
        what = f"at most {most} bands of {height} x {width} pixels ({convention})"
        raise fail("num_bands", what, num_bands)
    if convention == "centered":
        ring = _centered_rings(height, width, num_bands, norm)
    else:
        ring = _released_rings(height, width, num_bands, norm)
    masks = ring[None] == np.arange(num_bands)[:, None, None]
    return jnp.asarray(masks, jnp.float32)


def band_images(images: Array, masks: Array, *, real: bool = True) -> Array:
    """The part of each image that lies in each band.

    ``x_i = F⁻¹(mask_i ⊙ F x)``: one transform an image, one back a band. Filtering to a
    coalition S of bands is the sum of its band images, with no further transform.

    Args:
      images: float ``(N, H, W, C)``, any range.
      masks: ``(M, H, W)``; see ``band_masks``.
      real: take the real part. False keeps the complex bands, which differ for masks
        that are not symmetric (``released``, even sides).

    Returns:
      ``(M, N, H, W, C)`` in the units of the images. Masks that sum to one give bands
      that sum to the image.

    Raises:
      ValueError: shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.arange(64.0).reshape(1, 8, 8, 1)
      >>> bands = ja.band_images(images, ja.band_masks(8, 8, 4))
      >>> bands.shape, bool(jnp.allclose(bands.sum(0), images, atol=1e-4))
      ((4, 1, 8, 8, 1), True)
    """
    images = scores.widen(check_images(images))
    masks = check_float_array("masks", masks, "(M, H, W)", 3)
    if masks.shape[1:] != images.shape[1:3]:
        raise fail("masks", f"(M, {images.shape[1]}, {images.shape[2]})", masks)
    bands = split_spectrum(jnp.fft.fft2(images, axes=(1, 2)), masks)
    return bands.real if real else bands


def split_spectrum(spectrum: Array, masks: Array) -> Array:
    """Spectra ``(N, H, W, C)`` to the images of each band, complex ``(M, N, H, W, C)``."""
    masks = masks.astype(spectrum.dtype)[:, None, :, :, None]
    return jnp.fft.ifft2(masks * spectrum[None], axes=(2, 3))


def integer_frequencies(size: int) -> np.ndarray:
    """``(size,)`` signed integers in the order of ``fft``; Nyquist is negative."""
    return np.fft.fftfreq(size, 1 / size).round().astype(int)


def _centered_rings(height: int, width: int, num_bands: int, norm: str) -> np.ndarray:
    """``(H, W)``: the ring of each frequency, M where it has none."""
    side = min(height, width)
    u = np.abs(integer_frequencies(height))[:, None]
    v = np.abs(integer_frequencies(width))[None, :]
    return _rings(u, v, side, 2 * num_bands, num_bands, norm)


def _released_rings(height: int, width: int, num_bands: int, norm: str) -> np.ndarray:
    """``(H, W)``: the smallest of the centred boxes that holds each frequency."""
    side = min(height, width)
    # Positions in the central d x d square of the shifted spectrum.
    y = (np.arange(height) - (height - side) // 2)[:, None]
    x = (np.arange(width) - (width - side) // 2)[None, :]
    if norm == "l2":
        # Twice the distance from the middle of the boxes, in whole numbers.
        u, v = np.abs(2 * y - (side - 1)), np.abs(2 * x - (side - 1))
        ring = _rings(u, v, side, num_bands, num_bands, norm)
    else:
        ring = np.full((height, width), num_bands)
        for i in reversed(range(num_bands)):
            size = side * (i + 1) // num_bands
            low = (side - size) // 2
            inside = [(low <= p) & (p < low + size) for p in (y, x)]
            ring[inside[0] & inside[1]] = i
    return np.fft.ifftshift(ring)


def _rings(
    u: np.ndarray, v: np.ndarray, side: int, scale: int, num_bands: int, norm: str
) -> np.ndarray:
    """``⌊scale ‖(u, v)‖ / d⌋`` in exact integers, what is in no ring at M.

    ``scale · ‖·‖ = M d`` is the edge of the square spectrum, and still inside.
    """
    largest = np.maximum(u, v)
    inside = scale * largest <= num_bands * side
    if norm == "linf":
        ring = scale * largest // side
    else:
        # ⌊√a / d⌋ = ⌊√⌊a / d²⌋⌋, and float64 roots of these integers round correctly.
        ring = np.sqrt((u**2 + v**2) * scale**2 // side**2).astype(int)
    return np.where(inside, np.minimum(ring, num_bands - 1), num_bands)
