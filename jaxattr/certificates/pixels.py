"""Which pixels stay important, or stay unimportant, under any small change of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr._checks import (
    check_images,
    check_integer,
    check_key,
    check_number,
    check_values,
    fail,
)
from jaxattr._loops import sum_over
from jaxattr._numerics.dtypes import widen
from jaxattr._numerics.rankings import pixel_magnitudes, top_k_mask
from jaxattr.certificates.binomial import least_samples, radii_of_counts
from jaxattr.certificates.cosine import check_alpha
from jaxattr.perturbations import gaussian
from jaxattr.typing import Array


class PixelCertificate(NamedTuple):
    """What is proved of each pixel; see ``certified_pixels``."""

    importance: Array
    """``(N, H, W)`` integers: 1 important, 0 not, -1 where neither is proved."""
    radius: Array
    """``(N, H, W)``: how far that holds, in pixel units; 0 where nothing is proved."""
    frequency: Array
    """``(N, H, W)``: how often the pixel was among the important ones."""


def certified_pixels(
    explain_fn: Callable[[Array], Array],
    images: Array,
    *,
    key: Array | None = None,
    stddev: float,
    num_samples: int,
    fraction: float = 0.1,
    alpha: float = 0.001,
) -> PixelCertificate:
    """Pixels that are important at most noisy copies, and the radius this is sure within.

    A pixel is important at z if it is among the ``fraction`` of pixels with the largest
    values of the map of z. The smoothed map calls it so where this holds at more than half
    of all ``x + σ ξ``, ``ξ ~ N(0, I)``. If it holds with a probability of at least p > 1/2,
    it is called so at every ``x + δ`` with ``‖δ‖₂ < σ Φ⁻¹(p)``, and likewise for a pixel
    that is not important. Here p is the exact binomial bound (Clopper and Pearson) at the
    level ``α / (2 H W)``, so that with a confidence of 1 - α all that is said of all pixels
    of an image is true together.

    Args:
      explain_fn: images ``(N, H, W, C)`` to maps ``(N, H, W)``, whose values are ordered as
        they are, or ``(N, H, W, C)``, whose sizes ``Σ_c |A_c|`` are; any function, only
        ever called with exactly the N images, in order.
      images: float ``(N, H, W, C)``. Noisy images are not clipped.
      key: one typed key, or ``(N,)``, one an image. Needed.
      stddev: σ in pixel units, a known number above 0.
      num_samples: explanations an image.
      fraction: of the pixels that are important, in (0, 1]; at least one is.
      alpha: α, how often a certificate of an image may be wrong by bad luck in the draws.

    Returns:
      A ``PixelCertificate``. Radii are Euclidean, in pixel units, rounded down to
      multiples of ``0.002 σ``. An image with NaN in a map has -1 and NaN everywhere.

    Raises:
      ValueError: images of another shape, or NaN; no key; maps of another shape; an option
        out of its range; too few samples to prove anything of so many pixels (the message
        says how many it takes).

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.array([0.9, 0.2, 0.3, 0.1]).reshape(1, 2, 2, 1)
      >>> found = ja.certified_pixels(
      ...     lambda x: x[..., 0], images, key=jax.random.key(0), stddev=0.1,
      ...     num_samples=200, fraction=0.25,
      ... )
      >>> found.importance.tolist(), bool((found.radius > 0.1).all())
      ([[[1, 0], [0, 0]]], True)

    References:
      Anani, Lorenz, Fritz, Schiele. Pixel-level Certified Explanations via Randomized
      Smoothing. ICML 2025, arXiv:2506.15499: there a pixel whose bound is below one level τ
      is left out, which is ``radius < σ Φ⁻¹(τ)`` here. Cohen, Rosenfeld, Kolter. Certified
      Adversarial Robustness via Randomized Smoothing. ICML 2019, arXiv:1902.02918.
    """
    images = widen(check_images(images))
    check_values(images)
    keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int))
    stddev = check_number("stddev", stddev, 0.0)
    if not isinstance(stddev, float) or stddev == 0:
        raise fail("stddev", "a number above 0 that is not traced", stddev)
    num_samples = check_integer("num_samples", num_samples)
    num_pixels = images.shape[1] * images.shape[2]
    fraction = check_number("fraction", fraction, 0.0, 1.0)
    if not isinstance(fraction, float) or fraction == 0:
        raise fail("fraction", "a number in (0, 1] that is not traced", fraction)
    level = check_alpha(alpha) / (2 * num_pixels)
    if num_samples < least_samples(level):
        expected = (
            f"at least {least_samples(level)}, with fewer nothing is proved of "
            f"{num_pixels} pixels at alpha={alpha:g}"
        )
        raise fail("num_samples", expected, num_samples)
    top = max(1, round(fraction * num_pixels))
    draw = gaussian(stddev)(images)

    def important(index: Array) -> Array:
        maps = widen(explain_fn(draw(_random.fold_in(keys, index))[0]))
        sizes = _one_value_a_pixel(maps, images)
        mask = top_k_mask(sizes.reshape(len(images), -1), top).reshape(sizes.shape)
        is_number = ~jnp.isnan(sizes).any(axis=(1, 2), keepdims=True)
        return jnp.where(is_number, mask.astype(images.dtype), jnp.nan)[None]

    counts = sum_over(important, num_samples)
    known = ~jnp.isnan(counts)
    heads = jnp.where(known, counts, 0).astype(jnp.int32)
    table = jnp.asarray(stddev * radii_of_counts(num_samples, level), images.dtype)
    for_it, against = _look_up(table, heads), _look_up(table, num_samples - heads)
    importance = jnp.where(for_it > 0, 1, jnp.where(against > 0, 0, -1))
    return PixelCertificate(
        jnp.where(known, importance, -1),
        jnp.where(known, jnp.maximum(for_it, against), jnp.nan),
        counts / num_samples,
    )


def _one_value_a_pixel(maps: Array, images: Array) -> Array:
    """``(N, H, W)``."""
    if maps.ndim in (3, 4) and maps.shape[:3] == images.shape[:3]:
        return maps if maps.ndim == 3 else pixel_magnitudes(maps)
    shape = images.shape[:3]
    raise fail("explain_fn", f"maps {shape} or {(*shape, images.shape[3])}", maps)


def _look_up(table: Array, index: Array) -> Array:
    spec = jax.typeof(index).sharding.spec
    # With explicit mesh axes a gather must be told that it is sharded as its indices.
    return table.at[index].get(out_sharding=spec if any(spec) else None)
