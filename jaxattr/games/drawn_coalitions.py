"""Coalitions that are made where they are needed, from a key and their number.

None is held: number t of an image is the same whenever it is asked for. It depends on
the key and the players of that image alone, not on the batch or on how many players
others have, so there may be fewer players than places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr.typing import Array

MOST_LISTED = 20
"""Of so many players all coalitions may be listed."""


class Coalitions(NamedTuple):
    """Some coalitions of each of N games."""

    members: Array
    """``(S, N, M)`` bool."""
    share: Array
    """``(S, N)``: the part of all coalitions of its size that each stands for. Those of
    a size sum to one, in expectation where they are drawn."""
    is_drawn: Array
    """``(S, N)`` bool: drawn at random, independently of the others."""


Draw = Callable[[Array], Coalitions]
"""Numbers ``(S,)`` to coalitions."""


def pairs(
    keys: Array, players: Array, places: int, num_pairs: int, dtype: jnp.dtype
) -> Draw:
    """One of each pair of a coalition and its complement, sizes as KernelSHAP has them.

    Pair -1 is nobody (and all). Where all pairs of an image fit they are listed, those
    that are too many with a share of zero. Else the first are the single players, and
    the rest have sizes k from 2 to m - 2 in proportion to ``1 / k(m - k)``, each
    coalition of a size alike, sizes at evenly spaced quantiles. Share and complement's
    share are the same.

    Args:
      keys: ``(N,)``.
      players: ``(N,)`` integers, m of each game, from 1 to M.
      places: M.
      num_pairs: T, how many pairs there are beside -1: two more than M, or all.
      dtype: of the shares.
    """
    listed = most_listed(2 * num_pairs + 2)

    def pair(key: Array, m: Array, t: Array) -> Coalitions:
        place = jnp.arange(places)
        as_listed = _bits(t + 1, places) & (place < m)
        bits = _random_bits(key, t, places + 1)
        quantile = (t - m).astype(dtype) + (bits[0] >> 8).astype(dtype) / 2**24
        quantile = quantile / jnp.maximum(num_pairs - m, 1).astype(dtype)
        size, total = _kernel_size(quantile, m, places)
        drawn = _subset(bits[1:], m, size)
        is_listed, is_single = m <= listed, t < m
        members = jnp.where(is_single, place == t, drawn)
        members = jnp.where(is_listed, as_listed, members)
        size = jnp.sum(members)
        real = m.astype(dtype)
        number = jnp.maximum(num_pairs - m, 1).astype(dtype)
        of_drawn = total * (size * (m - size)).astype(dtype) / (2 * number)
        share = jnp.where(is_single, 1 / real, of_drawn)
        is_one = (t + 1) >> jnp.minimum(m - 1, 30) == 0
        of_listed = jnp.where(is_one, 1 / _binomial(m, size, listed, dtype), 0)
        share = jnp.where(is_listed, of_listed, share)
        share = jnp.where(t < 0, 1, share)
        return Coalitions(members, share, ~is_listed & ~is_single)

    return _of_games(pair, keys, players)


def halves(
    keys: Array, players: Array, places: int, num_samples: int, dtype: jnp.dtype
) -> Draw:
    """Every player is in with probability one half; the first is the coalition of all.

    Where all coalitions of an image fit they are listed, each once. The shares are one,
    and zero for those that are too many.
    """
    listed = most_listed(num_samples)

    def half(key: Array, m: Array, t: Array) -> Coalitions:
        place = jnp.arange(places)
        bits = _random_bits(key, t, places)
        drawn = (bits >> 31 == 1) | (t == 0)
        is_listed = m <= listed
        members = jnp.where(is_listed, _bits(t, places), drawn) & (place < m)
        is_one = (t >> jnp.minimum(m, 30) == 0) | ~is_listed
        return Coalitions(members, is_one.astype(dtype), ~is_listed & (t > 0))

    return _of_games(half, keys, players)


def most_listed(num_coalitions: int) -> int:
    """Of how many players so many coalitions are all, at most ``MOST_LISTED``."""
    return min(max(num_coalitions, 1).bit_length() - 1, MOST_LISTED)


def complement(members: Array, players: Array) -> Array:
    """Who is not in coalitions ``(S, N, M)`` of m players ``(N,)``."""
    return present(players, members.shape[-1])[None] & ~members


def present(players: Array, places: int) -> Array:
    """``(N, M)`` bool: the places that have a player."""
    return jnp.arange(places)[None] < players[:, None]


def _of_games(
    one: Callable[[Array, Array, Array], Coalitions], keys: Array, players: Array
) -> Draw:
    of_games = jax.vmap(one, (0, 0, None))
    return lambda index: jax.vmap(of_games, (None, None, 0))(keys, players, index)


def _bits(number: Array, places: int) -> Array:
    """``(M,)`` bool: the bits of a number, least significant first."""
    place = jnp.arange(places)
    return ((number >> jnp.minimum(place, 30)) & 1 == 1) & (place < 31)


def _binomial(m: Array, size: Array, most: int, dtype: jnp.dtype) -> Array:
    """``C(m, size)`` for m up to ``most``, as a product."""
    j = jnp.arange(1, most + 1)
    factors = (m - size + j).astype(dtype) / j.astype(dtype)
    return jnp.prod(jnp.where(j <= size, factors, 1))


def _kernel_size(quantile: Array, m: Array, places: int) -> tuple[Array, Array]:
    """The size from 2 to m - 2 at a quantile; the sum ``Σ 1 / k(m - k)``."""
    k = jnp.arange(1, places + 1)
    is_size = (k >= 2) & (k <= m - 2)
    kernel = 1 / jnp.maximum(k * (m - k), 1).astype(quantile.dtype)
    cumulative = jnp.cumsum(jnp.where(is_size, kernel, 0))
    size = 1 + jnp.sum(cumulative <= quantile * cumulative[-1])
    return jnp.clip(size, 0, jnp.maximum(m - 2, 0)), cumulative[-1]


def _subset(bits: Array, m: Array, size: Array) -> Array:
    """``(M,)`` bool: so many of the first m players, each subset alike."""
    is_player = jnp.arange(len(bits)) < m
    # Sorted by random bits the players of the first m places are in random order.
    order = jnp.argsort(jnp.where(is_player, bits, ~jnp.zeros_like(bits)))
    return (order < size) & is_player


def _random_bits(key: Array, number: Array, count: int) -> Array:
    """``(count,)`` of a coalition; the first of them are the same for any count."""
    key = jax.random.fold_in(key, jnp.maximum(number, 0))
    return jax.random.bits(key, (count,), jnp.uint32)
