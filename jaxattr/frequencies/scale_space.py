"""Images at every scale: blurred by Gaussians of any width, and how that changes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxattr.frequencies.transforms import apply_matrices
from jaxattr.typing import Array

_REACH = 4.0
"""Standard deviations after which a kernel is cut off."""


def blurred(images: Array, sigmas: Array, largest: float) -> Array:
    """``(S, N, H, W, C)``: images at scales ``(S,)``, zero beyond their borders.

    Args:
      images: float ``(N, H, W, C)``.
      sigmas: standard deviations of the Gaussian in pixels, at least 0.
      largest: a number that none of them exceeds.
    """
    height, width = images.shape[1:3]
    of_size = lambda size: jax.vmap(lambda s: _matrix(size, s, largest))(sigmas)
    return apply_matrices(
        of_size(height)[:, None], of_size(width)[:, None], images[None]
    )


def blurred_and_slope(
    images: Array, sigmas: Array, largest: float
) -> tuple[Array, Array]:
    """``blurred``, and its derivative in the scale of each."""
    of_scale = lambda scales: blurred(images, scales, largest)
    points, slope = jax.jvp(of_scale, (sigmas,), (jnp.ones_like(sigmas),))
    return points, slope


def _matrix(size: int, sigma: Array, largest: float) -> Array:
    """``(size, size)``: the Gaussian of that width, cut off, that sums to one."""
    # At 0 the kernel is one value, and its derivative zero.
    safe = jnp.where(sigma > 0, sigma, 1)
    reach = jnp.floor(_REACH * sigma + 0.5)

    def kernel(distance: Array) -> Array:
        weights = jnp.exp(-0.5 * (distance / safe) ** 2)
        return jnp.where(
            (distance <= reach) & ((sigma > 0) | (distance == 0)), weights, 0
        )

    taps = jnp.arange(math.ceil(_REACH * largest) + 2, dtype=sigma.dtype)
    whole = 2 * jnp.sum(kernel(taps)) - 1
    place = jnp.arange(size, dtype=sigma.dtype)
    return kernel(jnp.abs(place[:, None] - place[None, :])) / whole
