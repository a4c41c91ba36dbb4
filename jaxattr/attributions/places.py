"""From features and tokens inside a model to places in its images."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._checks import check_integer, fail
from jaxattr.typing import Array


def features(
    values: Array, size: tuple[int, int], grid: tuple[int, int] | None
) -> Array:
    """Features ``(N, h, w, D)``; tokens ``(N, T, D)`` are laid out in their grid."""
    if values.ndim == 3:
        rows, columns = grid_of(values.shape[1], size, grid)
        tokens = values[:, values.shape[1] - rows * columns :]
        return tokens.reshape(tokens.shape[0], rows, columns, -1)
    if values.ndim != 4:
        expected = "features (N, h, w, D) or tokens (N, T, D); split at another layer"
        raise fail("logits_fn", expected, values)
    if grid is not None:
        raise fail("grid", "None where features have places", grid)
    if _has_channels_first(values.shape[1:], size):
        expected = (
            "features (N, h, w, D); these have the channels first: transpose them"
        )
        raise fail("logits_fn", expected, values)
    return values


def _has_channels_first(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether the last two axes have the aspect of the images, and the first two do not.

    By a factor of two at least: a model may squash its images.
    """

    def is_off(rows: int, columns: int) -> float:
        ratio = rows * size[1] / max(columns * size[0], 1)
        return max(ratio, 1 / max(ratio, 1e-9))

    first, second, third = shape
    return is_off(first, second) > 2 and is_off(second, third) < 1.1


def grid_of(
    num_tokens: int, size: tuple[int, int], grid: tuple[int, int] | None
) -> tuple[int, int]:
    """Rows and columns of tokens, by default with the aspect of an image of that size.

    The last of the tokens lie in it, row by row.
    """
    if grid is not None:
        rows, columns = (check_integer("grid", n) for n in grid)
        if rows * columns > num_tokens:
            raise fail("grid", f"at most the {num_tokens} tokens of the layer", grid)
        return rows, columns
    common = math.gcd(*size)
    rows, columns = size[0] // common, size[1] // common
    for num_places in (num_tokens, num_tokens - 1):
        times = math.isqrt(num_places // (rows * columns))
        if times and times**2 * rows * columns == num_places:
            return times * rows, times * columns
    raise ValueError(
        f"grid: expected (rows, columns) of the tokens: neither {num_tokens} of them "
        f"nor one fewer lie in a grid with the aspect of images {list(size)}"
    )


def resized(maps: Array, images: Array) -> Array:
    """Maps ``(N, h, w)`` in the size of the images, the same in every channel."""
    maps = jax.image.resize(maps, images.shape[:3], "linear")
    # Added to zeros rather than broadcast: so it is sharded as the images are.
    return jnp.zeros_like(images) + maps[..., None].astype(images.dtype)


def shared(shares: Array, before: tuple[int, int], after: tuple[int, int]) -> Array:
    """Shares of the places of a grid ``(N, rows · columns)`` as those of another grid.

    Both lie over the same image, and the share of a place is divided among the places
    that it covers, in proportion to the areas: their sum stays.
    """
    if before == after:
        return shares
    rows, columns = (
        jnp.asarray(_covered(a, b), shares.dtype) for a, b in zip(before, after)
    )
    shares = shares.reshape(shares.shape[0], *before)
    shares = jnp.einsum("nhw,hi,wj->nij", shares, rows, columns, precision="highest")
    return shares.reshape(shares.shape[0], -1)


def _covered(before: int, after: int) -> np.ndarray:
    """How much of each of so many equal parts of a line lies in each of others."""
    first, second = (np.arange(n + 1) / n for n in (before, after))
    start = np.maximum(first[:-1, None], second[None, :-1])
    end = np.minimum(first[1:, None], second[None, 1:])
    return np.maximum(end - start, 0) * before
