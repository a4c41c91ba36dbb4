"""What the maps of attention share: the matrices, and tokens on the image."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxattr._checks import check_integer, fail
from jaxattr.attributions import places
from jaxattr.inside.attention import Attention
from jaxattr.inside.windows import Windows
from jaxattr.typing import Array, LogitsFn


def attention_of(
    logits_fn: LogitsFn, images: Array, grid: tuple[int, int] | None
) -> Attention:
    """The attention of a model for some images, its grid checked."""
    if grid is not None:
        rows, columns = (check_integer("grid", n) for n in grid)
        grid = rows, columns
    attention = Attention(logits_fn, images, grid)
    if attention.windows is not None and grid is not None:
        last = attention.windows[-1].grid
        if grid != last:
            raise fail("grid", f"{last}, that of the last features that attend", grid)
    return attention


def uniform(grid: tuple[int, int], images: Array, dtype: DTypeLike) -> Array:
    """The mean of all places of a grid, ``(N, rows · columns)``."""
    num_places = grid[0] * grid[1]
    # Added to zeros rather than broadcast: so it is sharded as the images are.
    zeros = jnp.zeros_like(images[:, 0, 0, :1], dtype)
    return zeros + jnp.full((1, num_places), 1 / num_places, dtype)


def on_image(
    tokens: Array,
    images: Array,
    grid: tuple[int, int] | None,
    windows: Windows | None,
) -> Array:
    """One number a token ``(N, T)`` where its patch is."""
    if windows is not None:
        return places.resized(tokens.reshape(-1, *windows.grid), images)
    size = images.shape[1], images.shape[2]
    return places.resized(
        places.features(tokens[..., None], size, grid)[..., 0], images
    )
