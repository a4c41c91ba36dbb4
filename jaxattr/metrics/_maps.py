"""What metrics that look at maps alone have in common: checks, regions, NaN."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxattr._checks import check_float_array, check_integer, fail
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array


def check_maps(maps: ArrayLike, name: str = "a") -> Array:
    """Maps ``(N, H, W)``, at least float32."""
    return widen(check_float_array(name, maps, "(N, H, W), one value a pixel", 3))


def check_pair(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Two batches of maps of one shape and dtype."""
    a, b = check_maps(a, "a"), check_maps(b, "b")
    if a.shape != b.shape:
        raise fail("b", f"maps shaped as a, {a.shape}", b)
    if a.dtype != b.dtype:
        raise fail("b", f"the dtype of a, {a.dtype}", b)
    return a, b


def check_k(k: int, maps: Array) -> int:
    k = check_integer("k", k)
    num_pixels = maps.shape[1] * maps.shape[2]
    if k > num_pixels:
        raise fail("k", f"at most the {num_pixels} pixels of a map", k)
    return k


def nan_where_nan(scores: Array, *maps: Array) -> Array:
    """Scores ``(N,)``, NaN for the images one of whose maps holds a NaN."""
    for values in maps:
        scores = jnp.where(jnp.isnan(values).any(axis=(1, 2)), jnp.nan, scores)
    return scores


def region(boxes: ArrayLike, maps: Array) -> Array:
    """Boxes or masks as masks ``(N, H, W)``."""
    num, height, width = maps.shape
    expected = (
        f"boxes ({num}, 4) as x0, y0, x1, y1 in pixels, or bool masks {maps.shape}"
    )
    boxes = jnp.asarray(boxes)
    if boxes.dtype == bool and boxes.shape == maps.shape:
        return boxes
    if boxes.dtype == bool or boxes.shape != (num, 4):
        raise fail("boxes", expected, boxes)
    x0, y0, x1, y1 = boxes.astype(maps.dtype).T[..., None, None]
    x = (jnp.arange(width, dtype=maps.dtype) + 0.5)[None, None, :]
    y = (jnp.arange(height, dtype=maps.dtype) + 0.5)[None, :, None]
    return (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
