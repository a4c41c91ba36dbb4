"""Images filtered to coalitions of frequency bands, as sums of their band images."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr.frequencies.bands import band_images, split_spectrum
from jaxattr.frequencies.transforms import after
from jaxattr.typing import Array

ABSENT = ("zero", "random", "gaussian")


def fill(absent: str, images: Array, keys: Array | None) -> Array | None:
    """The spectra ``(N, H, W, C)`` that stand in for absent bands, None for zeros."""
    if absent == "zero":
        return None
    assert keys is not None
    if absent == "random":
        # Sorting independent draws, one an image, is a random permutation.
        order = jnp.argsort(_random.uniform(keys, (), images.dtype))
        return jnp.fft.fft2(images[order], axes=(1, 2))
    real, imaginary = (
        0.5 * _random.normal(part, images.shape[1:], images.dtype)
        for part in _random.split(keys, 2)
    )
    return jax.lax.complex(real, imaginary)


def filters(
    images: Array, fill: Array | None, masks: Array, convention: str
) -> Callable[[Array], Array]:
    """Members ``(N, S, M)`` bool to filtered images ``(S, N, H, W, C)``.

    With absent bands filled, ``x_S = F⁻¹B + Σ_{i∈S} F⁻¹ mask_i (F x - B)``.
    """
    released = convention == "released"
    if fill is None:
        base, bands = None, band_images(images, masks, real=not released)
    else:
        base = jnp.fft.ifft2(fill, axes=(1, 2))
        absent = split_spectrum(after(base, fill), masks)
        if not released:
            base, absent = base.real, absent.real
        bands = band_images(after(absent, images), masks, real=not released) - absent
    bands = jnp.moveaxis(bands, 0, 1)

    def filtered(members: Array) -> Array:
        summed = jnp.einsum(
            "nsm,nmhwc->nshwc",
            members.astype(bands.dtype),
            bands,
            precision=jax.lax.Precision.HIGHEST,
        )
        if base is not None:
            summed = summed + base[:, None]
        summed = jnp.swapaxes(summed, 0, 1)
        if not released:
            return summed
        stretched = _stretch(jnp.abs(summed))
        nobody = ~jnp.any(jnp.swapaxes(members, 0, 1), axis=-1)
        return jnp.where(nobody[:, :, None, None, None], 0, stretched)

    return filtered


def _stretch(images: Array) -> Array:
    """Smallest to zero, largest to one, over all images ``(S, N, ...)`` of a coalition."""
    axes = (1, 2, 3, 4)
    images = images - jnp.min(images, axis=axes, keepdims=True)
    largest = jnp.max(images, axis=axes, keepdims=True)
    safe = jnp.where(largest > 0, largest, 1)
    return jnp.clip(images / safe, 0, 1)
