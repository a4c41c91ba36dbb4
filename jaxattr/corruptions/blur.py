"""Blur: images ``(N, H, W, C)`` in [0, 1]; lengths in pixels."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import _random
from jaxattr.corruptions._resampling import shift, smooth, zoom_matrix
from jaxattr.frequencies.transforms import apply_matrices
from jaxattr.typing import Array


def defocus_blur(images: Array, *, radius: float, stddev: float) -> Array:
    """The mean over a disk, its rim softened by a Gaussian of σ pixels."""
    kernel = _disk(radius, stddev)
    pad = len(kernel) // 2
    height, width = images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    # The convolution theorem: a kernel of 17 x 17 taps is slow as a sum on CPU.
    size = padded.shape[1:3]
    spectrum = jnp.fft.rfft2(padded, axes=(1, 2))
    weights = jnp.asarray(np.fft.rfft2(kernel, s=size), spectrum.dtype)
    full = jnp.fft.irfft2(spectrum * weights[None, :, :, None], s=size, axes=(1, 2))
    first = 2 * pad
    return jnp.clip(full[:, first : first + height, first : first + width], 0, 1)


def glass_blur(
    images: Array, keys: Array, *, stddev: float, reach: int, rounds: int
) -> Array:
    """Pixels take the colour of others within reach, between two Gaussian blurs.

    One pixel after the other, last first, ``rounds`` times, so colours can travel
    further. (In the released code this is a swap of views, which copies.)
    """
    images = smooth(images, stddev, truncate=4, mode="nearest")
    height, width = images.shape[1:3]
    rows = np.arange(height - reach, reach, -1)
    columns = np.arange(width - reach, reach, -1)
    once = (rows[:, None] * width + columns[None, :]).reshape(-1)
    targets = jnp.asarray(np.tile(once, rounds))
    if not targets.size:
        return images
    offsets = _random.per_key(
        lambda key: jax.random.randint(key, (targets.size, 2), -reach, reach)
    )(keys)
    sources = targets[None] + offsets[..., 0] * width + offsets[..., 1]

    def copy(pixel: Array, at: Array) -> Array:
        """One more pixel of each image takes the place of another, ``(N, H·W)``."""
        taken = jnp.take_along_axis(at, sources[:, pixel][:, None], axis=1)
        return jax.lax.dynamic_update_slice(at, taken, (0, targets[pixel]))

    start = jnp.broadcast_to(jnp.arange(height * width), (len(images), height * width))
    at = jax.lax.fori_loop(0, targets.size, copy, start)
    flat = images.reshape(len(images), height * width, -1)
    moved = jnp.take_along_axis(flat, at[..., None], axis=1).reshape(images.shape)
    return jnp.clip(smooth(moved, stddev, truncate=4, mode="nearest"), 0, 1)


def motion_blur(images: Array, keys: Array, *, radius: int, stddev: float) -> Array:
    """One-sided Gaussian along a line at -45 to 45 degrees."""
    return jnp.clip(streak(images, keys, radius, stddev, (-45.0, 45.0)), 0, 1)


def streak(
    images: Array,
    keys: Array,
    radius: int,
    stddev: float,
    degrees: tuple[float, float],
) -> Array:
    """Weighted copies along a line at a random angle, one an image.

    The original calls ImageMagick; this is the whole-pixel form of the
    ``imagecorruptions`` package.
    """
    width = 2 * radius + 1
    taps = np.exp(-0.5 * (np.arange(width) / stddev) ** 2)
    angle = jnp.deg2rad(_random.uniform(keys, (), images.dtype, *degrees))
    along = jnp.arange(width, dtype=images.dtype)
    down, right = (
        -jnp.ceil(along[None] * part[:, None] - 0.5).astype(int)
        for part in (jnp.sin(angle), jnp.cos(angle))
    )
    height, length = images.shape[1:3]
    inside = (jnp.abs(down) < height) & (jnp.abs(right) < length)
    weights = jnp.asarray(taps / taps.sum(), images.dtype)
    share = jnp.where(inside, weights[None], 0)

    def add(total: Array, step: tuple[Array, Array, Array]) -> tuple[Array, None]:
        down, right, share = step
        moved = jax.vmap(shift)(images, down, right)
        return total + share[:, None, None, None] * moved, None

    steps = (down.T, right.T, share.T)
    return jax.lax.scan(add, jnp.zeros_like(images), steps)[0]


def zoom_blur(images: Array, *, stop: float, step: float) -> Array:
    """The mean of the image and its enlargements by factors from 1 to ``stop``."""
    factors = np.arange(1, stop, step)
    rows, columns = (
        jnp.asarray(np.stack([zoom_matrix(n, factor) for factor in factors]))
        for n in images.shape[1:3]
    )

    def add(total: Array, matrices: tuple[Array, Array]) -> tuple[Array, None]:
        return total + apply_matrices(*matrices, images), None

    total, _ = jax.lax.scan(add, images, (rows, columns))
    return jnp.clip(total / (len(factors) + 1), 0, 1)


@functools.lru_cache(maxsize=32)
def _disk(radius: float, stddev: float) -> np.ndarray:
    """A disk that sums to one, smoothed over 3 or 5 taps an axis."""
    reach = max(8, int(radius))
    offset = np.arange(-reach, reach + 1)
    disk = (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).astype(float)
    disk /= disk.sum()
    half = 1 if radius <= 8 else 2
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / stddev) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        pad = [(half, half) if axis == a else (0, 0) for a in (0, 1)]
        padded = np.pad(disk, pad, mode="reflect")
        disk = sum(
            w * np.take(padded, np.arange(k, k + len(offset)), axis=axis)
            for k, w in enumerate(weights)
        )
    return disk
