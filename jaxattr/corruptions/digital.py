"""Digital: contrast, warping, big pixels, JPEG; images ``(N, H, W, C)`` in [0, 1]."""

from __future__ import annotations

import io

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jaxattr import _random
from jaxattr._checks import check_integer
from jaxattr.corruptions._channels import check_grey_or_rgb
from jaxattr.corruptions._resampling import box_matrix, smooth
from jaxattr.frequencies.transforms import apply_matrices
from jaxattr.typing import Array


def contrast(images: Array, *, share: float) -> Array:
    """``m + a (x - m)``, m the mean of each channel."""
    mean = jnp.mean(images, axis=(1, 2), keepdims=True)
    return jnp.clip(mean + share * (images - mean), 0, 1)


def elastic_transform(
    images: Array, keys: Array, *, shift: float, stddev: float, affine: float
) -> Array:
    """A random affine map, then a smooth random displacement, both bilinear.

    Three points move by up to ``affine`` pixels; displacements are noise in [-1, 1]
    smoothed over ``stddev`` pixels, times ``shift``.
    """
    affine_keys, *shift_keys = _random.split(keys, 3)
    size = (images.shape[1], images.shape[2])

    def move(key: Array, image: Array) -> Array:
        center = np.array(size) // 2
        arm = min(size) // 3
        corners = center + arm * np.array([[1, 1], [1, -1], [-1, -1]])
        before = jnp.asarray(corners, image.dtype)
        after = before + jax.random.uniform(key, (3, 2), image.dtype, -affine, affine)
        # From where each pixel comes: the map that takes the moved points back.
        (a, b), (c, d) = after[0] - after[1], after[1] - after[2]
        first, second = before[0] - before[1], before[1] - before[2]
        y, x = (grid - after[2, i] for i, grid in enumerate(_grid(size, image.dtype)))
        along, across = (y * d - x * c), (x * a - y * b)
        places = [
            before[2, i] + (along * first[i] + across * second[i]) / (a * d - b * c)
            for i in (0, 1)
        ]
        return _bilinear(image, places, "mirror")

    def warp(image: Array, down: Array, right: Array) -> Array:
        y, x = _grid(size, image.dtype)
        return _bilinear(image, [y + down, x + right], "reflect")

    moved = jax.vmap(move)(affine_keys, images)
    if stddev <= 0:
        return jnp.clip(moved, 0, 1)
    down, right = (
        shift
        * smooth(
            _random.uniform(k, (*size, 1), images.dtype, -1.0, 1.0),
            stddev,
            truncate=3,
            mode="reflect",
        )[..., 0]
        for k in shift_keys
    )
    return jnp.clip(jax.vmap(warp)(moved, down, right), 0, 1)


def pixelate(images: Array, *, scale: float) -> Array:
    """Box means on a grid of ``⌊scale · side⌋``, boxes again back."""
    height, width = images.shape[1:3]
    rows, columns = (max(1, int(scale * n)) for n in (height, width))
    small = apply_matrices(box_matrix(height, rows), box_matrix(width, columns), images)
    large = apply_matrices(box_matrix(rows, height), box_matrix(columns, width), small)
    return jnp.clip(large, 0, 1)


def jpeg_compression(images: Array, *, quality: int) -> Array:
    """Written and read as JPEG by Pillow (libjpeg) on the host, in 8 bits.

    Runs under ``jit`` and ``vmap`` as a call back to the host; it has no derivative.
    """
    check_grey_or_rgb(images, "JPEG has")
    check_integer("quality", quality)
    shape = jax.ShapeDtypeStruct(images.shape, images.dtype)

    def code(images: ArrayLike) -> np.ndarray:
        return _jpeg(np.asarray(images), quality)

    return jax.pure_callback(code, shape, images, vmap_method="expand_dims")


def _jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("JPEG needs Pillow: pip install 'jaxattr[app]'") from None
    whole = np.round(images.clip(0, 1) * 255).astype(np.uint8)
    pictures = whole.reshape(-1, *images.shape[-3:])
    coded = np.empty_like(pictures)
    for i, picture in enumerate(pictures):
        grey = picture.shape[-1] == 1
        file = io.BytesIO()
        image = Image.fromarray(picture[..., 0] if grey else picture)
        image.save(file, "JPEG", quality=quality)
        with Image.open(file) as read:
            coded[i] = np.asarray(read).reshape(picture.shape)
    return (coded.astype(np.float64) / 255).astype(images.dtype).reshape(images.shape)


def _grid(size: tuple[int, int], dtype: DTypeLike) -> tuple[Array, Array]:
    y, x = (jnp.arange(n, dtype=dtype) for n in size)
    return (
        jnp.broadcast_to(y[:, None], size),
        jnp.broadcast_to(x[None, :], size),
    )


def _bilinear(image: Array, places: list[Array], mode: str) -> Array:
    def channel(values: Array) -> Array:
        return jax.scipy.ndimage.map_coordinates(values, places, order=1, mode=mode)

    return jax.vmap(channel, in_axes=-1, out_axes=-1)(image)
