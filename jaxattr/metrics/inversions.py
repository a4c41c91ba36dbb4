"""Counting pairs out of order, in ``O(P log P)`` and in exact integers."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr.typing import Array

# A count of pairs does not fit in 32 bits: it is held as (high, low), 4096 high + low.
_BITS = 12
MAX_LENGTH = 1 << 19
"""Up to here no intermediate sum overflows."""


def total(counts: Array) -> Array:
    """The sum of integers ``(P,)``, none above P, as ``(high, low)``."""
    return carry(
        jnp.stack(
            [jnp.sum(c, dtype=jnp.int32) for c in (counts >> _BITS, counts & 4095)]
        )
    )


def carry(value: Array) -> Array:
    """``low`` back to below 4096; negative values keep a non-negative low part."""
    return jnp.stack([value[0] + (value[1] >> _BITS), value[1] & 4095])


def as_float(value: Array, dtype: jnp.dtype) -> Array:
    """``4096 high + low`` as a float, rounded once."""
    high, low = value.astype(dtype)
    return high * 4096 + low


def count_inversions(permutation: Array) -> Array:
    """Pairs ``i < j`` with ``π(i) > π(j)``, as ``(high, low)``.

    Sorting by one bit after another, from the highest: a pair is counted at the first
    bit in which it differs. Values that agree so far lie together, in the order they
    came, and fill a block of ``2^(bit + 1)`` places exactly; within it each zero is
    behind as many ones as a running sum says, and then all zeros go before the ones.

    Args:
      permutation: int32 ``(P,)`` of ``0 .. P-1``.
    """
    length = permutation.shape[0]
    num_bits = max(1, (length - 1).bit_length())
    place = jnp.arange(1 << num_bits, dtype=jnp.int32)
    # Filled up with values that are in order, so that blocks are full.
    values = jnp.concatenate([permutation, place[length:]])

    def sort_by_bit(step: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        values, count = state
        bit = num_bits - 1 - step
        is_one = (values >> bit) & 1
        block = place >> (bit + 1)
        # Half of each block before this one are ones.
        ones_before = jnp.cumsum(is_one, dtype=jnp.int32) - is_one - (block << bit)
        zeros_before = place - (block << (bit + 1)) - ones_before
        offset = jnp.where(is_one == 1, (1 << bit) + ones_before, zeros_before)
        count += total(jnp.where(is_one == 1, 0, ones_before))
        values = values.at[(block << (bit + 1)) + offset].set(
            values, unique_indices=True, mode="promise_in_bounds"
        )
        return values, carry(count)

    start = (values, jnp.zeros(2, jnp.int32))
    return jax.lax.fori_loop(0, num_bits, sort_by_bit, start)[1]
