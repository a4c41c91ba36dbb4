"""Weather: images ``(N, H, W, C)`` in [0, 1], one key an image."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxattr import _random
from jaxattr._checks import fail
from jaxattr.corruptions._channels import check_grey_or_rgb
from jaxattr.corruptions._resampling import zoom as enlarge
from jaxattr.corruptions.blur import streak
from jaxattr.corruptions.textures import frost_textures
from jaxattr.typing import Array


def snow(
    images: Array,
    keys: Array,
    *,
    mean: float,
    stddev: float,
    zoom: float,
    threshold: float,
    radius: int,
    blur: float,
    share: float,
) -> Array:
    """Streaks of enlarged noise above a threshold, over a paler image."""
    check_grey_or_rgb(images, "have a grey to pale towards")
    flake_keys, angle_keys = _random.split(keys, 2)
    noise = _random.normal(flake_keys, (*images.shape[1:3], 1), images.dtype)
    flakes = enlarge(mean + stddev * noise, zoom)
    flakes = jnp.clip(jnp.where(flakes < threshold, 0, flakes), 0, 1)
    flakes = streak(flakes, angle_keys, radius, blur, (-135.0, -45.0))
    pale = jnp.maximum(images, 1.5 * _grey(images) + 0.5)
    images = share * images + (1 - share) * pale
    return jnp.clip(images + flakes + flakes[:, ::-1, ::-1], 0, 1)


def frost(
    images: Array,
    keys: Array,
    *,
    share: float,
    frost: float,
    scale: float,
    textures: Sequence[ArrayLike] | None = None,
) -> Array:
    """``clip(a x + b t)``, t a random part of a random photograph of frost.

    ``textures`` are arrays ``(h, w, 3)`` in [0, 1], at least as large as the images; by
    default the six of the package ``imagecorruptions-imaug``.
    """
    check_grey_or_rgb(images, "photographs of frost fit")
    if textures is None:
        textures = frost_textures(scale)
    for texture in textures:
        if np.ndim(texture) != 3 or np.shape(texture)[-1] != 3:
            raise fail("textures", "arrays (h, w, 3)", np.shape(texture))
    height, width = images.shape[1:3]
    shapes = np.array([np.shape(texture)[:2] for texture in textures])
    if (shapes < (height, width)).any():
        what = f"textures of at least {height} x {width} pixels"
        raise fail("textures", what, tuple(map(int, shapes.min(0))))
    largest = shapes.max(0)
    stacked = np.zeros((len(textures), *largest, 3), np.float32)
    for place, texture in zip(stacked, textures, strict=True):
        rows, columns = np.shape(texture)[:2]
        place[:rows, :columns] = texture
    padded, room = jnp.asarray(stacked), jnp.asarray(shapes - (height, width) + 1)

    def part(key: Array) -> Array:
        which, where = jax.random.split(key)
        index = jax.random.randint(which, (), 0, len(textures))
        corner = jax.random.randint(where, (2,), 0, room[index])
        size = (1, height, width, 3)
        return jax.lax.dynamic_slice(padded, (index, corner[0], corner[1], 0), size)[0]

    ice = jax.vmap(part)(keys).astype(images.dtype)
    if images.shape[-1] != 3:
        ice = _grey(ice)
    return jnp.clip(share * images + frost * ice, 0, 1)


def fog(images: Array, keys: Array, *, thickness: float, decay: float) -> Array:
    """A random landscape of fog added, then darkened to the old maximum."""
    height, width = images.shape[1:3]
    size = 2 ** int(np.ceil(np.log2(max(height, width, 2))))
    landscape = _random.per_key(lambda key: plasma(key, size, decay))(keys)
    landscape = landscape[:, :height, :width, None].astype(images.dtype)
    brightest = jnp.max(images, axis=(1, 2, 3), keepdims=True)
    foggy = images + thickness * landscape
    return jnp.clip(foggy * brightest / (brightest + thickness), 0, 1)


def brightness(images: Array, *, shift: float) -> Array:
    """The value of HSV raised: ``x v'/v`` with ``v = max_c x``, ``v' = clip(v + s)``."""
    check_grey_or_rgb(images, "have a value of HSV")
    value = jnp.max(images, axis=-1, keepdims=True)
    raised = jnp.clip(value + shift, 0, 1)
    scale = raised / jnp.where(value > 0, value, 1)
    # Black has no hue: it becomes grey.
    return jnp.clip(jnp.where(value > 0, images * scale, raised), 0, 1)


def plasma(key: Array, size: int, decay: float) -> Array:
    """``(size, size)`` in [0, 1]: the diamond-square landscape, a torus."""
    # Every point is set once, so that one draw serves all levels.
    noise = _random.uniform(key, (size, size), float, -1.0, 1.0)
    land = jnp.zeros((size, size))
    step, wobble = size, 100.0
    while step >= 2:
        half = step // 2
        old, new = slice(None, None, step), slice(half, None, step)
        corners = land[old, old]
        pairs = corners + jnp.roll(corners, -1, 0)
        middle = (pairs + jnp.roll(pairs, -1, 1)) / 4 + wobble**2 * noise[new, new]
        above = middle + jnp.roll(middle, 1, 0) + corners + jnp.roll(corners, -1, 1)
        beside = middle + jnp.roll(middle, 1, 1) + corners + jnp.roll(corners, -1, 0)
        land = land.at[new, new].set(middle)
        land = land.at[old, new].set(above / 4 + wobble**2 * noise[old, new])
        land = land.at[new, old].set(beside / 4 + wobble**2 * noise[new, old])
        step, wobble = half, wobble / decay
    land = land - jnp.min(land)
    return land / jnp.max(land)


def _grey(images: Array) -> Array:
    """Luma of ``(..., 3)``; the mean of other numbers of channels."""
    if images.shape[-1] != 3:
        return jnp.mean(images, axis=-1, keepdims=True)
    weights = jnp.asarray([0.299, 0.587, 0.114], images.dtype)
    weights = weights.reshape((1,) * (images.ndim - 1) + (3,))
    return jnp.sum(images * weights, axis=-1, keepdims=True)
