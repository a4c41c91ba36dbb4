"""Draws that belong to an image: the same alone, in a batch, and in any chunk.

Keys are arrays ``(..., N)``, one for each image (and sample). What is drawn depends on
the image's own key and on the indices of step and sample, never on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxattr.typing import Array, Scalar

T = TypeVar("T")


def fold_in(keys: Array, index: Array | int) -> Array:
    """Keys of one step ``(N,)``, or for indices ``(S,)`` of S samples ``(S, N)``."""
    fold = jax.vmap(jax.random.fold_in, (0, None))
    if jnp.ndim(index):
        return jax.vmap(fold, (None, 0))(keys, index)
    return fold(keys, index)


def split(keys: Array, num: int) -> tuple[Array, ...]:
    """``num`` arrays of independent keys, each shaped like ``keys``."""
    parts = per_key(lambda key: jax.random.split(key, num))(keys)
    return tuple(parts[..., i] for i in range(num))


def per_key(draw: Callable[[Array], T]) -> Callable[[Array], T]:
    """A function of one key as a function of an array of keys ``(..., N)``."""

    def draw_all(keys: Array) -> T:
        vectorised = draw
        for _ in range(keys.ndim):
            vectorised = jax.vmap(vectorised)
        return vectorised(keys)

    return draw_all


def normal(keys: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Standard normal ``(..., N) + shape``."""
    return per_key(lambda key: jax.random.normal(key, shape, dtype))(keys)


def uniform(
    keys: Array,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    low: Scalar = 0.0,
    high: Scalar = 1.0,
) -> Array:
    """Uniform in [low, high), ``(..., N) + shape``."""
    return per_key(lambda key: jax.random.uniform(key, shape, dtype, low, high))(keys)


def choice(keys: Array, rows: Array) -> Array:
    """One of the rows ``(R, ...)`` for each key, uniformly, ``(..., N, ...)``."""
    index = per_key(lambda key: jax.random.randint(key, (), 0, len(rows)))(keys)
    spec = jax.typeof(index).sharding.spec
    # With explicit mesh axes a gather must be told that it is sharded as its indices.
    return rows.at[index].get(out_sharding=spec if any(spec) else None)
