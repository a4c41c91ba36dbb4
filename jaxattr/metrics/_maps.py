"""What metrics that look at maps alone have in common: checks, NaN."""

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
