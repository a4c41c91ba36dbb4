"""Bases: pairs of functions, images to coefficients and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._checks import check_choice, check_float_array, check_integer, fail
from jaxattr.frequencies import transforms, wavelets
from jaxattr.frequencies.bands import split_spectrum
from jaxattr.typing import Array

__all__ = ["Basis", "dct", "fft_bands", "wavelet"]


class Basis(NamedTuple):
    """Two functions that undo each other."""

    forward: Callable[[Array], Array]
    """Images ``(N, H, W, C)`` to coefficients, of rank four too; rows independent."""
    inverse: Callable[[Array], Array]
    """Coefficients to images."""


_MOMENTS = {"haar": 1, **{f"db{n}": n for n in range(1, 9)}}
NAMES = ("dct", *_MOMENTS)
"""What ``as_basis`` knows by name."""


def as_basis(
    basis: str | tuple[Callable[[Array], Array], Callable[[Array], Array]],
) -> Basis:
    """A basis by name, or a pair of functions as one; see ``in_basis``."""
    if isinstance(basis, str):
        check_choice("basis", basis, NAMES)
        return dct() if basis == "dct" else wavelet(basis)
    try:
        forward, inverse = basis
    except (TypeError, ValueError):
        raise fail("basis", "a name or a pair (forward, inverse)", basis) from None
    if not (callable(forward) and callable(inverse)):
        raise fail("basis", "a pair of functions (forward, inverse)", basis)
    return Basis(forward, inverse)


def dct() -> Basis:
    """The orthonormal cosine transform (type II) over height and width.

    Coefficient ``(u, v)`` of a channel stands at row u and column v, the mean first.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.bases.dct().forward(jnp.ones((1, 2, 2, 1))).round(3).ravel()
      Array([2., 0., 0., 0.], dtype=float32)
    """
    return Basis(transforms.dct2, transforms.idct2)


def wavelet(name: str, *, levels: int | None = None) -> Basis:
    """An orthonormal wavelet transform over height and width.

    Each level turns the approximations of the one before into four blocks: new
    approximations in the upper left, below them the details along the height, beside them
    those along the width, in the corner those along both. Borders are periodic. Sides may
    be of any length: of an odd one, the last value stays among the approximations as it is.

    Args:
      name: ``haar``, or ``db1`` to ``db8``, Daubechies' wavelets with so many vanishing
        moments (``db1`` is ``haar``, ``db4`` has 8 taps).
      levels: how often approximations are transformed again; by default 3, or what the
        sides allow.

    Raises:
      ValueError: an unknown name; fewer than one level; when used, more levels than
        halve the longer side to one value.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> haar = ja.bases.wavelet("haar", levels=1)
      >>> haar.forward(jnp.array([3.0, 1.0]).reshape(1, 1, 2, 1)).ravel().round(3)
      Array([2.828, 1.414], dtype=float32)

    References:
      Mallat. A theory for multiresolution signal decomposition. PAMI 1989. Daubechies. Ten
      Lectures on Wavelets. SIAM 1992. The numbers are those of ``pywt.wavedec2`` with
      ``mode="periodization"`` where all sides are even.
    """
    moments = _MOMENTS[check_choice("name", name, _MOMENTS)]
    if levels is not None:
        levels = check_integer("levels", levels)

    def count(images: Array) -> int:
        height, width = images.shape[-3:-1]
        most = wavelets.most_levels(height, width)
        if levels is None:
            return min(3, most)
        if levels > most:
            raise fail("levels", f"at most {most} of {height} x {width} values", levels)
        return levels

    return Basis(
        lambda images: wavelets.wavelet2(images, moments, count(images)),
        lambda values: wavelets.inverse_wavelet2(values, moments, count(values)),
    )


def fft_bands(masks: Array) -> Basis:
    """The part of an image in each band of frequencies, as channels.

    ``(N, H, W, C)`` to ``(N, H, W, M C)``, channel c of band i at ``i C + c``; back it is
    the sum over the bands. There are M times as many coefficients as pixels, so this is no
    orthonormal basis: of a map, the sum over H, W and the C channels of a band is what
    the band contributed.

    Args:
      masks: ``(M, H, W)`` in the order of ``fft2`` that sum to one; see ``band_masks``.

    Raises:
      ValueError: masks of another rank, or that do not sum to one.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> bands = ja.bases.fft_bands(ja.band_masks(8, 8, 4))
      >>> bands.forward(jnp.ones((1, 8, 8, 3))).shape
      (1, 8, 8, 12)
    """
    masks = check_float_array("masks", masks, "(M, H, W)", 3)
    if not isinstance(masks, jax.core.Tracer):
        excess = np.abs(np.asarray(masks, np.float64).sum(axis=0) - 1).max()
        if not excess < 1e-3:
            raise ValueError(
                "masks: expected masks that sum to one at every frequency, got sums "
                f"that differ from it by up to {excess:g}"
            )
    num_bands = len(masks)

    def forward(images: Array) -> Array:
        if images.shape[-3:-1] != masks.shape[1:]:
            raise fail("masks", f"(M, {images.shape[1]}, {images.shape[2]})", masks)
        parts = split_spectrum(jnp.fft.fft2(images, axes=(1, 2)), masks).real
        parts = jnp.moveaxis(parts.astype(images.dtype), 0, 3)
        return parts.reshape((*images.shape[:3], -1))

    def inverse(coefficients: Array) -> Array:
        shape = (*coefficients.shape[:3], num_bands, -1)
        return jnp.sum(coefficients.reshape(shape), axis=3)

    return Basis(forward, inverse)
