"""Square windows on maps: dilation, means, and sets whose members keep their distance.

A window w reaches w pixels each way, ``(2w + 1)²`` in all, cut at the border. With
``flat=True`` it is made of offsets ``r·W + c`` into the flattened map, so that it
spills over the ends of rows, as released scripts have it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr.typing import Array, Scalar

Rows = tuple[Array, Array]
"""Values ``(H, W)``, and the largest of each row."""


def dilate(masks: Array, window: int, *, flat: bool = False) -> Array:
    """Bool ``(N, H, W)``: which pixels have one of the set in their window."""
    return _reduce(masks, False, jax.lax.bitwise_or, window, flat)


def mean(maps: Array, window: int, *, pad: str = "count") -> Array:
    """The mean of each pixel's window, ``(N, H, W)``.

    Args:
      maps: ``(N, H, W)``.
      window: w.
      pad: what divides the sum. ``count`` the pixels inside the map; ``zero`` all
        ``(2w + 1)²``, zeros standing beyond the border.
    """
    total = _reduce(maps, 0.0, jax.lax.add, window, False)
    if pad == "zero":
        return total / (2 * window + 1) ** 2
    return total / _reduce(jnp.ones_like(maps), 0.0, jax.lax.add, window, False)


def maximum(maps: Array, window: int) -> Array:
    """The largest value in each pixel's window, ``(N, H, W)``."""
    return _reduce(maps, -jnp.inf, jax.lax.max, window, False)


def greedy_distant_set(
    maps: Array, k: int, window: int, *, candidates: Array, flat: bool = False
) -> Array:
    """Places ``(N, k)`` of the greedy set: take the best, strike out its window, repeat.

    Of equal values the first in row-major order is taken. A step looks at the largest
    value of each row and at the few rows under the window, not at the map, so k steps
    cost the same on every map.

    Args:
      maps: ``(N, H, W)`` without NaN.
      k: how many steps.
      window: w.
      candidates: bool ``(N, H, W)``, which pixels may be taken.
      flat: windows of flat offsets.

    Returns:
      Flat places in the order they are taken; ``H·W`` where no candidate was left.
    """
    _, height, width = maps.shape
    # Windows that spill over reach one row further.
    reach = window + 1 if flat else window
    rows = jnp.arange(2 * reach + 1) - reach
    columns = jnp.arange(width)

    def struck(column: Array) -> Array:
        """Which of the rows around a taken pixel, (2 reach + 1, W), are in its window."""
        across = columns - column
        if not flat:
            return jnp.broadcast_to(jnp.abs(across) <= window, (len(rows), width))
        offset = rows[:, None] * width + across[None, :] + window
        near = offset % width <= 2 * window
        return near & (jnp.abs(offset // width) <= window)

    def places(values: Array) -> Array:
        def take(state: Rows, _: None) -> tuple[Rows, Array]:
            values, row_best = state
            row = jnp.argmax(row_best)
            block = jax.lax.dynamic_slice_in_dim(values, row, len(rows))
            column = jnp.argmax(block[reach])
            is_left = row_best[row] > -jnp.inf
            block = jnp.where(struck(column), -jnp.inf, block)
            values = jax.lax.dynamic_update_slice_in_dim(values, block, row, 0)
            best = jax.lax.dynamic_update_slice_in_dim(
                jnp.pad(row_best, reach), jnp.max(block, axis=1), row, 0
            )
            place = jnp.where(is_left, row * width + column, height * width)
            return (values, best[reach : reach + height]), place

        start = (jnp.pad(values, ((reach, reach), (0, 0)), constant_values=-jnp.inf),)
        return jax.lax.scan(take, (*start, jnp.max(values, axis=1)), length=k)[1]

    # Below every number stands what may not be taken.
    maps = jnp.maximum(maps, jnp.finfo(maps.dtype).min)
    return jax.vmap(places)(jnp.where(candidates, maps, -jnp.inf))


def _reduce(
    maps: Array,
    initial: Scalar,
    combine: Callable[[Array, Array], Array],
    window: int,
    flat: bool,
) -> Array:
    """Over the window of each pixel, along one axis and then along the other."""
    size, (num_maps, height, width) = 2 * window + 1, maps.shape
    if flat:
        # Along the flattened map: neighbours, then pixels that lie W apart.
        maps = maps.reshape(num_maps, 1, height * width)
        passes = (((1, 1, size), 1), ((1, 1, size), width))
    else:
        passes = (((1, 1, size), 1), ((1, size, 1), 1))
    for extent, spacing in passes:
        maps = jax.lax.reduce_window(
            maps,
            jnp.asarray(initial, maps.dtype),
            combine,
            extent,
            (1, 1, 1),
            [(length // 2 * spacing,) * 2 for length in extent],
            window_dilation=[spacing if length > 1 else 1 for length in extent],
        )
    return maps.reshape(num_maps, height, width)
