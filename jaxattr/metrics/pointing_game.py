"""The pointing game: does the largest value of a map lie on the object?"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._checks import check_integer
from jaxattr.metrics._maps import check_maps, nan_where_nan, region
from jaxattr.typing import Array


def pointing_game(maps: Array, boxes: Array, *, tolerance: int = 0) -> Array:
    """Whether the largest value of a map lies in a box or mask.

    1 where it does, 0 where it does not; of several equal largest values the share that
    does, which is what chance would find. The mean over images is the published accuracy.
    Higher is better; a map of noise reaches the area fraction of the region.

    Args:
      maps: ``(N, H, W)``, signs as they are; sum the channels of an attribution, or take
        ``pixel_magnitudes``.
      boxes: ``(N, 4)`` or bool masks ``(N, H, W)``, see ``localization``.
      tolerance: how many pixels beside the region still count, by straight distance; the
        publication has 15 on photographs of its size.

    Returns:
      ``(N,)`` in [0, 1]; NaN for a region without pixels or a map that holds a NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)``, boxes of another shape, a negative
        tolerance.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> maps = jnp.array([[[3.0, -1.0], [1.0, 0.0]]])
      >>> ja.pointing_game(maps, jnp.array([[0, 0, 2, 1]]))
      Array([1.], dtype=float32)

    References:
      Zhang, Bargal, Lin, Brandt, Shen, Sclaroff. Top-Down Neural Attention by Excitation
      Backprop. International Journal of Computer Vision 2018, arXiv:1608.00507.
    """
    maps = check_maps(maps, "maps")
    inside = region(boxes, maps)
    reach = check_integer("tolerance", tolerance, 0)
    near = _within(inside, reach, maps.dtype) if reach else inside
    is_largest = maps == jnp.max(maps, axis=(1, 2), keepdims=True)
    count = lambda mask: jnp.sum(mask, axis=(1, 2)).astype(maps.dtype)
    hits = count(is_largest & near) / count(is_largest)
    hits = jnp.where(jnp.any(inside, axis=(1, 2)), hits, jnp.nan)
    return nan_where_nan(hits, maps)


def _within(masks: Array, reach: int, dtype: jnp.dtype) -> Array:
    """Bool ``(N, H, W)``: pixels at most ``reach`` away from one of the mask."""
    offsets = np.arange(-reach, reach + 1)
    disc = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= reach**2
    counts = jax.lax.conv_general_dilated(
        masks[:, None].astype(dtype),
        jnp.asarray(disc[None, None], dtype),
        (1, 1),
        [(reach, reach)] * 2,
    )
    return counts[:, 0] > 0.5
