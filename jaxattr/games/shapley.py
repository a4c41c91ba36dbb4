"""Exact values of games from the table of all coalitions: Shapley, Banzhaf, pairs.

A table holds ``v(S)`` at the position whose bits are the members of S, least
significant first: 0 is the empty coalition, ``2^M - 1`` all players. Extra axes (one
game an image) follow. All three values are linear in the table, so each is one matrix
product with it.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import scores
from jaxattr._checks import check_integer, fail
from jaxattr.typing import Array

MAX_PLAYERS = 20
"""The most players that are enumerated: a million coalitions."""


def coalitions(num_players: int) -> Array:
    """All coalitions of M players.

    Args:
      num_players: M, at most 20.

    Returns:
      ``(2^M, M)`` bool: row s holds the bits of s, least significant first.

    Raises:
      ValueError: fewer than one player, or more than 20.

    Example:
      >>> import jaxattr as ja
      >>> ja.coalitions(2).astype(int).tolist()
      [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return jnp.asarray(_bits(_check_players(num_players)))


def shapley_matrix(num_players: int) -> Array:
    """The matrix that takes a table of coalition values to Shapley values.

    ``A[i, S] = w(|S| - 1)`` for i in S, ``-w(|S|)`` otherwise, with
    ``w(k) = 1 / (M C(M-1, k))``.

    Args:
      num_players: M, at most 20.

    Returns:
      ``(M, 2^M)``, float32 (float64 where that is enabled). Rows sum to zero.

    Raises:
      ValueError: as ``coalitions``.

    Example:
      >>> import jaxattr as ja
      >>> ja.shapley_matrix(2).tolist()
      [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]]
    """
    num_players = _check_players(num_players)
    weights = [
        1 / (num_players * math.comb(num_players - 1, k)) for k in range(num_players)
    ]
    return jnp.asarray(_marginal_matrix(num_players, np.array(weights)))


def shapley_values(coalition_values: Array) -> Array:
    """Exact Shapley values.

    ``φᵢ = Σ_{S∌i} |S|! (M - |S| - 1)! / M! · (v(S ∪ i) - v(S))``: the mean marginal
    contribution over all orders in which the players can join.

    Args:
      coalition_values: ``(2^M,)`` or ``(2^M, N)``, M at most 20; see ``coalitions``.

    Returns:
      ``(M,)`` or ``(M, N)``, in the units of v. They sum to ``v(all) - v(none)``.

    Raises:
      ValueError: not a float array whose first axis is a power of two from 2 to 2^20.

    Example:
      A left glove (player 0) is worth 1 with either of two right ones.

      >>> import jax.numpy as jnp, jaxattr as ja
      >>> v = jnp.array([0.0, 0, 0, 1, 0, 1, 0, 1])
      >>> [f"{value:.4f}" for value in ja.shapley_values(v)]
      ['0.6667', '0.1667', '0.1667']

    References:
      Shapley. A Value for n-Person Games. Contributions to the Theory of Games II, 1953.
    """
    table, num_players = _check_table(coalition_values)
    return _apply(shapley_matrix(num_players), table)


def banzhaf_values(coalition_values: Array) -> Array:
    """Banzhaf values: the marginal contribution to a coalition drawn at random.

    ``βᵢ = 2^{1-M} Σ_{S∌i} (v(S ∪ i) - v(S))``. Less sensitive to noise in v than the
    Shapley values, but they need not sum to ``v(all) - v(none)``.

    Args:
      coalition_values: ``(2^M,)`` or ``(2^M, N)``, M at most 20; see ``coalitions``.

    Returns:
      ``(M,)`` or ``(M, N)``, in the units of v.

    Raises:
      ValueError: as ``shapley_values``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.banzhaf_values(jnp.array([0.0, 0, 0, 1, 0, 1, 0, 1])).tolist()
      [0.75, 0.25, 0.25]

    References:
      Banzhaf. Weighted Voting Doesn't Work. Rutgers Law Review 1965. Wang, Jia. Data
      Banzhaf. AISTATS 2023, arXiv:2205.15466.
    """
    table, num_players = _check_table(coalition_values)
    weights = np.full(num_players, 0.5 ** (num_players - 1))
    return _apply(jnp.asarray(_marginal_matrix(num_players, weights)), table)


def shapley_interactions(coalition_values: Array) -> Array:
    """The Shapley interaction index of every pair of players.

    ``Iᵢⱼ = Σ_{S∌i,j} |S|! (M - |S| - 2)! / (M - 1)! · (v(S∪ij) - v(S∪i) - v(S∪j) + v(S))``:
    above zero where two players are worth more together than apart, below zero where
    one makes up for the other.

    Args:
      coalition_values: ``(2^M,)`` or ``(2^M, N)``, M at most 20; see ``coalitions``.

    Returns:
      ``(M, M)`` or ``(M, M, N)``, symmetric with a zero diagonal, in the units of v.

    Raises:
      ValueError: as ``shapley_values``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> together = jnp.array([0.0, 0, 0, 1])
      >>> ja.shapley_interactions(together).tolist()
      [[0.0, 1.0], [1.0, 0.0]]

    References:
      Grabisch, Roubens. An axiomatic approach to the concept of interaction among
      players in cooperative games. International Journal of Game Theory 1999.
    """
    table, m = _check_table(coalition_values)
    if m < 2:
        return jnp.zeros((m, m, *table.shape[1:]), table.dtype)
    weights = np.array([1 / ((m - 1) * math.comb(m - 2, k)) for k in range(m - 1)])
    bits = _bits(m)
    sizes = bits.sum(1)
    members = jnp.asarray(bits, table.dtype)
    others = 1 - members
    weighted = [
        jnp.asarray(np.where((k >= 0) & (k < m - 1), weights[k.clip(0, m - 2)], 0))
        for k in (sizes - 2, sizes - 1, sizes)
    ]

    def pairs(values: Array) -> Array:
        both, one, neither = (w.astype(values.dtype) * values for w in weighted)
        # Σ_S [i ∈ S][j ∈ S] w(|S| - 2) v(S), and so on for one and for none of them.
        apart = _product(members.T * one[None], others)
        return (
            _product(members.T * both[None], members)
            + _product(others.T * neither[None], others)
            - (apart + apart.T)
        )

    table = table - table[:1]
    # One game at a time: only (M, 2^M) numbers are made, however many games there are.
    values = jax.lax.map(pairs, table.reshape(len(bits), -1).T)
    values = jnp.moveaxis(values, 0, -1).reshape(m, m, *table.shape[1:])
    return jnp.where(
        jnp.eye(m, dtype=bool).reshape(m, m, *[1] * (table.ndim - 1)), 0, values
    )


def _bits(num_players: int) -> np.ndarray:
    rows, players = np.arange(2**num_players)[:, None], np.arange(num_players)[None]
    return (rows >> players & 1).astype(bool)


def _marginal_matrix(num_players: int, weights: np.ndarray) -> np.ndarray:
    """``(M, 2^M)``: the weighted sum of ``v(S ∪ i) - v(S)``, weights ``(M,)`` by |S|."""
    bits = _bits(num_players).T
    sizes = bits.sum(0)
    joined = weights[(sizes - 1).clip(0)]
    alone = weights[sizes.clip(max=num_players - 1)]
    return np.where(bits, joined, -alone)


def _apply(matrix: Array, table: Array) -> Array:
    # Rows sum to zero: without v(none) there is less to cancel, and a constant is lost
    # exactly.
    return _product(matrix.astype(table.dtype), table - table[:1])


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _check_players(num_players: int) -> int:
    num_players = check_integer("num_players", num_players)
    if num_players > MAX_PLAYERS:
        raise fail(
            "num_players",
            f"at most {MAX_PLAYERS} to enumerate 2^M coalitions; "
            "shapley_sampled takes more",
            num_players,
        )
    return num_players


def _check_table(values: Array) -> tuple[Array, int]:
    expected = "a float array (2^M,) or (2^M, N), M from 1 to 20"
    try:
        table = jnp.asarray(values)
    except (TypeError, ValueError):
        raise fail("coalition_values", expected, values) from None
    if not jnp.issubdtype(table.dtype, jnp.floating) or table.ndim not in (1, 2):
        raise fail("coalition_values", expected, table)
    num_players = len(table).bit_length() - 1
    if len(table) != 2**num_players or not 1 <= num_players <= MAX_PLAYERS:
        raise fail("coalition_values", expected, table)
    return scores.widen(table), num_players
