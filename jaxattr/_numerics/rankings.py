"""Orders and ranks of attribution values."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array


def descending_ranks(values: Array) -> Array:
    """``(..., P)`` to the rank of each value, 0 for the largest.

    Ties keep their order: of equal values the first has the smaller rank. NaN ranks
    after every number.
    """
    order = jnp.argsort(-values, axis=-1, stable=True)  # NaN sorts last

    def ranks(order: Array) -> Array:
        # Written to its place: sorting a second time would take as long as the first.
        places = jnp.arange(len(order), dtype=order.dtype)
        return jnp.zeros_like(order).at[order].set(places, unique_indices=True)

    for _ in range(order.ndim - 1):
        ranks = jax.vmap(ranks)
    return ranks(order)


def kth_smallest(values: Array, k: int) -> Array:
    """``(..., P)`` of non-negative floats to the value of rank k, 0 for the smallest.

    The bits of non-negative floats are ordered as they are, so the value is found by
    bisection of its bits: as many counts as it has bits, where a sort takes far longer.
    """
    bits = jnp.finfo(values.dtype).bits
    integer = {32: jnp.int32, 64: jnp.int64}[bits]
    pattern = jax.lax.bitcast_convert_type(values, integer)

    def halve(_: Array, interval: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = interval
        middle = low + (high - low) // 2
        enough = jnp.sum(pattern <= middle[..., None], axis=-1) > k
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    low = jnp.zeros_like(pattern[..., 0])
    high = jnp.full_like(low, jnp.iinfo(integer).max)
    low, _ = jax.lax.fori_loop(0, bits - 1, halve, (low, high))
    return jax.lax.bitcast_convert_type(low, values.dtype)


def top_k_mask(values: Array, k: int) -> Array:
    """``(..., P)`` to bool ``(..., P)``: the k largest values.

    Of equal values the first are taken. NaN is taken after every number.
    """
    values = jnp.where(jnp.isnan(values), -jnp.inf, values)
    # One zero: -0.0 would be ordered before 0.0.
    values = jnp.where(values == 0, 0, values)
    # Behind barriers: XLA on CPU would merge the slices that follow into the search
    # and sort everything instead, twenty times slower. One for each of the two: on
    # several devices jaxlib 0.10 aborts where a barrier holds the pair.
    barrier = jax.lax.optimization_barrier
    largest, index = map(barrier, jax.lax.top_k(values, k))
    last, last_index = largest[..., -1:], index[..., -1:]
    position = jax.lax.broadcasted_iota(index.dtype, values.shape, values.ndim - 1)
    return (values > last) | ((values == last) & (position <= last_index))


def pixel_magnitudes(attributions: Array) -> Array:
    """Attributions ``(N, H, W, C)`` to one size a pixel, ``(N, H, W)``.

    ``Σ_c |A_c|``, the channel reduction that robustness studies rank by.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.pixel_magnitudes(jnp.array([1.0, -2.0]).reshape(1, 1, 1, 2)).ravel()
      Array([3.], dtype=float32)
    """
    # The slope of a size is its sign, zero at zero: jnp.abs has one there.
    attributions = widen(attributions)
    return jnp.sum(attributions * jnp.sign(attributions), axis=-1)


def count_smaller_and_equal(values: Array) -> tuple[Array, Array]:
    """For each of ``(P,)`` how many are smaller, and how many equal it, itself too.

    Without NaN. By sorting integers: XLA on CPU sorts them many times faster than
    numbers with their places.
    """
    values = sortable_integers(values)
    ordered = jnp.sort(values)
    smaller = jnp.searchsorted(ordered, values, side="left").astype(jnp.int32)
    not_larger = jnp.searchsorted(ordered, values, side="right").astype(jnp.int32)
    return smaller, not_larger - smaller


def sortable_integers(values: Array) -> Array:
    """Floats as integers of the same width and the same order."""
    bits = jnp.finfo(values.dtype).bits
    integer = jnp.dtype(f"int{bits}")
    pattern = jax.lax.bitcast_convert_type(jnp.where(values == 0, 0, values), integer)
    # Negative floats are ordered by magnitude: all bits but the sign are turned over.
    return jnp.where(pattern < 0, pattern ^ jnp.iinfo(integer).max, pattern)


def sort_pairs(major: Array, minor: Array) -> tuple[Array, Array]:
    """Pairs of integers in ``0 .. P-1``, each ``(P,)``, in lexicographic order."""
    if major.shape[0] > 1 << 16:
        first, second = jax.lax.sort((major, minor), num_keys=2, is_stable=False)
        return first, second
    # Both fit in one word, and single words are sorted much faster.
    packed = (major.astype(jnp.uint32) << 16) | minor.astype(jnp.uint32)
    packed = jnp.sort(packed)
    return (packed >> 16).astype(jnp.int32), (packed & 0xFFFF).astype(jnp.int32)
