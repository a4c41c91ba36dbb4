"""Orders and ranks of attribution values."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr.typing import Array


def descending_ranks(values: Array) -> Array:
    """``(..., P)`` to the rank of each value, 0 for the largest.

    Ties keep their order: of equal values the first has the smaller rank. NaN ranks
    after every number.
    """
    order = jnp.argsort(values, axis=-1, stable=True, descending=True)
    return jnp.argsort(order, axis=-1)
