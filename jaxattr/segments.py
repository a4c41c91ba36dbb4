"""Segments (superpixels): which pixels of an image are kept or replaced together.

Segments are integers ``(N, H, W)``, or ``(H, W)`` where all images share them: pixel p
belongs to segment ``segments[n, p]``, and an image has the segments 0 to m - 1, all of
them. Images of a batch may have different numbers of segments.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._checks import check_float_array, check_images, check_integer, fail
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array

__all__ = ["grid", "slic", "sums"]

Segments = Array | np.ndarray | tuple[int, int]
"""Integers ``(N, H, W)`` or ``(H, W)``, or ``(rows, columns)`` of a grid."""


def grid(height: int, width: int, rows: int, columns: int) -> Array:
    """Rectangles, as equal in size as whole pixels allow.

    Pixel (i, j) belongs to segment ``⌊i·rows/H⌋·columns + ⌊j·columns/W⌋``.

    Args:
      height: H, of the images.
      width: W.
      rows: rectangles from top to bottom, at most H.
      columns: rectangles from left to right, at most W.

    Returns:
      ``(H, W)`` integers from 0 to ``rows·columns - 1``, row by row.

    Raises:
      ValueError: fewer than one row or column, or more than there are pixels.

    Example:
      >>> import jaxattr as ja
      >>> ja.segments.grid(2, 5, 1, 2).tolist()
      [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    """
    height, width = check_integer("height", height), check_integer("width", width)
    rows, columns = check_integer("rows", rows), check_integer("columns", columns)
    # Known inside of jit too, so that the number of segments is.
    with jax.ensure_compile_time_eval():
        return jnp.asarray(_rectangles(height, width, rows, columns), int)


def _rectangles(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    if rows > height:
        raise fail("rows", f"at most {height}, one a pixel", rows)
    if columns > width:
        raise fail("columns", f"at most {width}, one a pixel", columns)
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return row[:, None] * columns + column[None, :]


def slic(
    images: Array,
    num_segments: int,
    *,
    compactness: float = 10.0,
    sigma: float = 0.0,
) -> Array:
    """Superpixels: connected patches of similar colour, by SLIC.

    k-means in colour (CIELAB, of RGB images) and place, as scikit-image computes it,
    which must be installed (``pip install 'jaxattr[segments]'``). It runs outside of
    JAX, so the images must not be traced.

    Args:
      images: float ``(N, H, W, C)`` in [0, 1].
      num_segments: about how many an image; how many there are depends on the image.
      compactness: the weight of place against colour.
      sigma: of a Gaussian that smooths the image first, in pixels.

    Returns:
      ``(N, H, W)`` integers, from 0 on without gaps in every image.

    Raises:
      ValueError: images that are traced or of another rank, fewer than one segment.
      ImportError: scikit-image is not installed.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.zeros((1, 8, 8, 3)).at[:, :, 4:].set(1.0)
      >>> ja.segments.slic(images, 4).shape
      (1, 8, 8)

    References:
      Achanta, Shaji, Smith, Lucchi, Fua, Süsstrunk. SLIC Superpixels Compared to
      State-of-the-art Superpixel Methods. IEEE PAMI 2012.
    """
    images = check_images(images)
    num_segments = check_integer("num_segments", num_segments)
    if isinstance(images, jax.core.Tracer):
        expected = "images that are not traced: call it outside of jit and vmap"
        raise fail("images", expected, images)
    try:
        from skimage import segmentation
    except ImportError as error:
        message = "ja.segments.slic needs scikit-image: pip install 'jaxattr[segments]'"
        raise ImportError(message) from error
    found = []
    for image in np.asarray(images, np.float64):
        labels = segmentation.slic(
            image,
            n_segments=num_segments,
            compactness=compactness,
            sigma=sigma,
            start_label=0,
            channel_axis=-1,
        )
        found.append(np.unique(labels, return_inverse=True)[1].reshape(labels.shape))
    return jnp.asarray(np.stack(found), int)


def sums(maps: Array, segments: Segments, *, num_segments: int | None = None) -> Array:
    """The sum of a map over each segment, pixels and channels.

    Of a map of ``kernel_shap`` or ``lime`` these are the values of the segments.

    Args:
      maps: float ``(N, H, W, C)``.
      segments: integers ``(N, H, W)`` or ``(H, W)``, or ``(rows, columns)`` of a grid.
      num_segments: the most of an image, M; needed where the segments are traced.

    Returns:
      ``(N, M)``, zero beyond the segments of an image.

    Raises:
      ValueError: segments with gaps or of another size.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.segments.sums(jnp.ones((1, 2, 5, 1)), (1, 2)).tolist()
      [[6.0, 4.0]]
    """
    maps = widen(check_float_array("maps", maps, "(N, H, W, C)", 4))
    ids, most = check_segments(segments, maps, num_segments)
    return totals(jnp.sum(maps, axis=-1), ids, most)


def check_segments(
    segments: Segments, images: Array, num_segments: int | None = None
) -> tuple[Array, int]:
    """Segments ``(N, H, W)`` of these images and the most that one of them has.

    Raises:
      ValueError: no integers, another size, gaps, or traced without ``num_segments``.
    """
    shape = images.shape[:3]
    expected = f"integers {shape} or {shape[1:]}, or (rows, columns) of a grid"
    is_pair = isinstance(segments, tuple | list) and len(segments) == 2
    if is_pair and all(np.ndim(side) == 0 for side in segments):
        rows, columns = (check_integer("segments", side) for side in segments)
        segments = _rectangles(shape[1], shape[2], rows, columns)
    # As they were given: while tracing, what is made of known values is traced.
    given = segments
    try:
        ids = jnp.asarray(given)
    except (TypeError, ValueError):
        raise fail("segments", expected, given) from None
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise fail("segments", expected, ids)
    if ids.shape not in (shape, shape[1:]):
        raise fail("segments", expected, ids)
    most = None if num_segments is None else check_integer("num_segments", num_segments)
    is_traced = isinstance(given, jax.core.Tracer)
    if not is_traced and getattr(given, "is_fully_addressable", True):
        known = _check_known(np.asarray(jax.device_get(given)))
        if most is not None and known > most:
            raise fail("num_segments", f"at least {known}, of these segments", most)
        most = known if most is None else most
    if most is None:
        what = "the most segments of an image, where segments are traced"
        raise fail("num_segments", what, None)
    # Added to zeros rather than broadcast: so they are sharded as the images are.
    ids = ids.astype(int).reshape((1,) * (3 - ids.ndim) + ids.shape)
    return jnp.zeros_like(images[..., 0], dtype=int) + ids, most


def _check_known(values: np.ndarray) -> int:
    """The most segments of an image; refuses gaps."""
    most = 0
    for number, image in enumerate(values.reshape(-1, *values.shape[-2:])):
        present = np.unique(image)
        gaps = np.flatnonzero(present != np.arange(len(present)))
        if gaps.size:
            raise ValueError(
                f"segments: expected 0, 1, 2, ... without gaps in every image, got "
                f"{present[gaps[0]]} in the place of {gaps[0]} in image {number}"
            )
        most = max(most, len(present))
    return most


def sizes(ids: Array, most: int) -> Array:
    """``(N, M)``: how many pixels a segment has, zero for one that an image has not."""
    return _over_segments(lambda here: jnp.sum(here, (1, 2)), ids, most)


def totals(values: Array, ids: Array, most: int) -> Array:
    """``(N, M)``: the sum over each segment of values ``(N, H, W)``."""
    return _over_segments(
        lambda here: jnp.sum(jnp.where(here, values, 0), (1, 2)), ids, most
    )


def counted(ids: Array, most: int) -> tuple[Array, Array]:
    """How many segments each image has ``(N,)``, and whether it has no gap ``(N,)``."""
    number = jnp.max(ids, axis=(1, 2)) + 1
    is_there = sizes(ids, most) > 0
    expected = jnp.arange(most)[None] < number[:, None]
    within = (jnp.min(ids, axis=(1, 2)) >= 0) & (number <= most)
    return jnp.clip(number, 1, most), within & jnp.all(is_there == expected, axis=1)


def at_pixels(values: Array, ids: Array) -> Array:
    """What stands at each segment ``(S, N, M)``, at its pixels: ``(S, N, H, W)``."""
    by_image = jnp.swapaxes(values, 0, 1)[:, :, None]
    # Nothing is reshaped, and no value made twice: axes of one are broadcast.
    return jnp.swapaxes(jnp.take_along_axis(by_image, ids[:, None], axis=3), 0, 1)


def spread(values: Array, ids: Array, channels: int) -> Array:
    """Values ``(N, M)`` as a map whose sum over each segment is its value.

    The value is divided evenly among the pixels of the segment and their channels.
    """
    number = jnp.maximum(sizes(ids, values.shape[1]), 1) * channels
    shares = at_pixels((values / number.astype(values.dtype))[None], ids)[0]
    return jnp.broadcast_to(shares[..., None], (*shares.shape, channels))


def _over_segments(total: Callable[[Array], Array], ids: Array, most: int) -> Array:
    """``(N, M)``: ``total`` of where each segment is ``(N, H, W)``, one at a time."""
    return jax.lax.map(lambda number: total(ids == number), jnp.arange(most)).T
