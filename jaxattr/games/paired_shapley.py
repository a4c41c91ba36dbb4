"""Shapley values and interactions from the values of coalitions and their complements.

Values ``(2 + 2T, N)`` are those of nobody, of all, then of each pair of
``drawn_coalitions.pairs``: the coalition and its complement.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr._loops import sum_over
from jaxattr.games import drawn_coalitions
from jaxattr.games.drawn_coalitions import Draw
from jaxattr.games.least_squares import Rows, least_squares
from jaxattr.typing import Array


def fewest(places: int) -> int:
    """The fewest coalitions: all, or the single players and two pairs that are drawn."""
    return min(2**places, 2 * places + 6)


def num_pairs(places: int, num_samples: int) -> int:
    """T for at most so many coalitions."""
    return min(num_samples - 2, 2**places - 2) // 2


def members(pairs: Draw, index: Array, players: Array) -> Array:
    """Coalitions ``(S, N, M)`` in the order of the values."""
    first = pairs(index // 2 - 1).members
    is_first = (index % 2 == 0)[:, None, None]
    return jnp.where(is_first, first, drawn_coalitions.complement(first, players))


def shapley(
    pairs: Draw, values: Array, players: Array, places: int, *, standard_error: bool
) -> tuple[Array, Array]:
    """KernelSHAP: φ of least squares over the pairs, with the kernel's weights.

    ``(v(S) - v(Sᶜ)) / 2 = (1_S - 1/2)·φ + e``, ``Σ φ = v(all) - v(none)``. All pairs
    together give the Shapley values.

    Returns:
      values and standard errors, ``(N, M)``; zero beyond the players of a game.
    """
    dtype = values.dtype
    is_player = drawn_coalitions.present(players, places)
    number = players.astype(dtype)
    even = (values[1] - values[0]) / number

    def rows(index: Array) -> Rows:
        some = pairs(index)
        size = jnp.sum(some.members, axis=-1)
        size_here = size.astype(dtype)
        half = (values[2 * index + 2] - values[2 * index + 3]) / 2
        # What is left of φ sums to zero: so does each row.
        design = some.members.astype(dtype) - (size_here / number[None])[..., None]
        design = jnp.where(is_player[None], design, 0)
        target = half - (size_here - number[None] / 2) * even[None]
        kernel = jnp.maximum(size * (players[None] - size), 1).astype(dtype)
        weight = some.share.astype(dtype) / kernel
        return Rows(design, target, weight, some.is_drawn)

    both = is_player[:, :, None] & is_player[:, None, :]
    penalty = both.astype(dtype) / number[:, None, None]
    penalty = penalty + _diagonal(~is_player, dtype)
    count = (len(values) - 2) // 2
    if not count:
        rest, error = jnp.zeros((2, *is_player.shape), dtype)
    else:
        rest, error = least_squares(rows, count, penalty, standard_error=standard_error)
    return jnp.where(is_player, rest + even[:, None], 0), error


def interactions(
    pairs: Draw, values: Array, players: Array, places: int
) -> tuple[Array, Array]:
    """SHAP-IQ: the Shapley interaction index of each pair of players.

    ``Iᵢⱼ = Σ_S share(S) v(S) c(S)`` with ``c = m / s(s - 1)`` where S of size s has both
    players, ``-m / s(m - s)`` where it has one, ``m / (m - s)(m - s - 1)`` where it has
    none: all coalitions give the index, and those drawn an unbiased estimate of it.
    What single players explain is taken from v first; it has no interactions.

    Returns:
      values and standard errors, ``(N, M, M)``, symmetric, zeros on the diagonal.
    """
    dtype = values.dtype
    count = (len(values) - 2) // 2
    is_player = drawn_coalitions.present(players, places)
    is_listed = players <= drawn_coalitions.most_listed(len(values))
    alone = jnp.zeros((len(players), places), dtype)
    if count >= places:
        gain = values[2 : 2 + 2 * places : 2] - values[0][None]
        loss = values[1][None] - values[3 : 3 + 2 * places : 2]
        alone = jnp.where(is_listed[:, None] | ~is_player, 0, (gain + loss).T / 2)

    def of_coalitions(inside: Array, values: Array, share: Array) -> Array:
        size = jnp.sum(inside, axis=-1)
        others = players[None] - size
        rest = values - jnp.sum(jnp.where(inside, alone[None], 0), axis=-1)
        scale = (rest * share * players.astype(dtype)[None])[..., None, None]
        both = inside[..., :, None] & inside[..., None, :]
        outside = is_player[None] & ~inside
        none = outside[..., :, None] & outside[..., None, :]
        one = (is_player[:, :, None] & is_player[:, None, :])[None] & ~both & ~none

        def per(number: Array) -> Array:
            return 1 / jnp.maximum(number, 1).astype(dtype)[..., None, None]

        factor = jnp.where(both, per(size * (size - 1)), 0)
        factor = jnp.where(one, -per(size * others), factor)
        factor = jnp.where(none, per(others * (others - 1)), factor)
        return scale * factor

    def terms(index: Array) -> tuple[Array, Array, Array]:
        index = index - 1
        some = pairs(index)
        other = drawn_coalitions.complement(some.members, players)
        first, second = (values[2 * index + i] - values[0][None] for i in (2, 3))
        share = some.share.astype(dtype)
        term = of_coalitions(some.members, first, share)
        term = term + of_coalitions(other, second, share)
        drawn = jnp.where(some.is_drawn[..., None, None], term, 0)
        return term, jnp.stack([drawn, drawn**2], 1), some.is_drawn.astype(dtype)

    total, (of_drawn, squares), number = sum_over(terms, count + 1)
    number = number[:, None, None]
    variance = squares - of_drawn**2 / jnp.maximum(number, 1)
    variance = variance * number / jnp.maximum(number - 1, 1)
    apart = ~jnp.eye(places, dtype=bool)[None]
    error = jnp.sqrt(jnp.maximum(variance, 0))
    return jnp.where(apart, total, 0), jnp.where(apart, error, 0)


def _diagonal(where: Array, dtype: jnp.dtype) -> Array:
    eye = jnp.eye(where.shape[-1], dtype=dtype)
    return where.astype(dtype)[:, :, None] * eye[None]
