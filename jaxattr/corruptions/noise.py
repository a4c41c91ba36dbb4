"""Noise: images ``(N, H, W, C)`` in [0, 1], one key an image."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr.typing import Array


def gaussian_noise(images: Array, keys: Array, *, stddev: float) -> Array:
    """``clip(x + σ ξ)``, ``ξ ~ N(0, 1)`` for every value."""
    noise = _random.normal(keys, images.shape[1:], images.dtype)
    return jnp.clip(images + stddev * noise, 0, 1)


def shot_noise(images: Array, keys: Array, *, photons: float) -> Array:
    """``clip(Poisson(λ x) / λ)``: λ photons for white."""

    def count(key: Array, image: Array) -> Array:
        return jax.random.poisson(key, photons * image).astype(image.dtype)

    return jnp.clip(jax.vmap(count)(keys, images) / photons, 0, 1)


def impulse_noise(images: Array, keys: Array, *, share: float) -> Array:
    """A share of the values, each channel alone, to 0 or 1, even odds."""
    hit, white = (
        _random.uniform(part, images.shape[1:], images.dtype)
        for part in _random.split(keys, 2)
    )
    salted = jnp.where(white < 0.5, jnp.ones_like(images), jnp.zeros_like(images))
    return jnp.where(hit < share, salted, images)
