"""Exact values of games: axioms on random tables, and games with known answers."""

import itertools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

PLAYERS = 5


def random_table(seed=0, players=PLAYERS, games=()):
    return jax.random.normal(jax.random.key(seed), (2**players, *games), float)


def game(players, worth):
    """The table of ``worth(set of members)``."""
    return jnp.asarray(
        [
            float(worth({i for i in range(players) if s >> i & 1}))
            for s in range(2**players)
        ]
    )


def over_orders(table):
    """The definition: mean marginal contribution over all orders, in float64."""
    table = np.asarray(table, np.float64)
    players = int(math.log2(len(table)))
    total = np.zeros((players, *table.shape[1:]))
    for order in itertools.permutations(range(players)):
        before = 0
        for player in order:
            total[player] += table[before | 1 << player] - table[before]
            before |= 1 << player
    return total / math.factorial(players)


def test_coalitions_hold_the_bits_least_significant_first():
    rows = np.asarray(ja.coalitions(4))
    assert rows.shape == (16, 4)
    assert rows.dtype == bool
    np.testing.assert_array_equal(rows @ (1 << np.arange(4)), np.arange(16))


@pytest.mark.parametrize("games", [(), (3,)])
def test_values_are_means_over_all_orders(games):
    with toys.float64():
        table = random_table(games=games)
        np.testing.assert_allclose(
            ja.shapley_values(table), over_orders(table), rtol=0, atol=1e-14
        )


@pytest.mark.parametrize("players", [1, 2, 5, 8])
def test_efficiency(players):
    table = random_table(players=players, games=(3,))
    values = ja.shapley_values(table)
    np.testing.assert_allclose(values.sum(0), table[-1] - table[0], atol=2e-6)


def test_weights_of_marginals_sum_to_one():
    matrix = np.asarray(ja.shapley_matrix(PLAYERS))
    members = np.asarray(ja.coalitions(PLAYERS)).T
    np.testing.assert_allclose((matrix * members).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose((matrix * ~members).sum(1), -1, rtol=1e-6)


def test_symmetry():
    """Exchanging two players exchanges their values, and no others."""
    order = [3, 1, 2, 0, 4]
    bits = np.asarray(ja.coalitions(PLAYERS))
    table = random_table()
    exchanged = table[bits[:, order] @ (1 << np.arange(PLAYERS))]
    np.testing.assert_allclose(
        ja.shapley_values(exchanged),
        ja.shapley_values(table)[jnp.array(order)],
        atol=1e-6,
    )


def test_null_player():
    """Player 2 changes no coalition's value: zero for it in all three indices."""
    table = random_table().reshape(4, 2, 4)
    table = jnp.concatenate([table[:, :1]] * 2, axis=1).reshape(-1)
    np.testing.assert_allclose(ja.shapley_values(table)[2], 0, atol=1e-7)
    np.testing.assert_allclose(ja.banzhaf_values(table)[2], 0, atol=1e-7)
    np.testing.assert_allclose(ja.shapley_interactions(table)[2], 0, atol=1e-6)
    assert float(jnp.abs(ja.shapley_values(random_table())[2])) > 1e-2


@pytest.mark.parametrize(
    "index", [ja.shapley_values, ja.banzhaf_values, ja.shapley_interactions]
)
def test_linearity_and_constant_shift(index):
    first, second = random_table(1), random_table(2)
    combined = index(2 * first - 3 * second)
    np.testing.assert_allclose(
        combined, 2 * index(first) - 3 * index(second), atol=1e-5
    )
    # In float32, with a constant far larger than the game.
    whole = jnp.round(64 * first)
    np.testing.assert_array_equal(index(whole + 4096), index(whole))


KNOWN = {
    # A left glove and two right ones.
    "glove": (game(3, lambda s: 0 in s and len(s) > 1), [4 / 6, 1 / 6, 1 / 6]),
    # Littlechild and Owen: planes that need runways of 1, 3 and 6.
    "airport": (
        game(3, lambda s: max([0, *((1, 3, 6)[i] for i in s)])),
        [1 / 3, 1 / 3 + 1, 1 / 3 + 1 + 3],
    ),
    # Votes 4, 3, 2, 1, six win: player 0 swings in ten orders of 24, and so on.
    "vote": (
        game(4, lambda s: sum((4, 3, 2, 1)[i] for i in s) >= 6),
        [10 / 24, 6 / 24, 6 / 24, 2 / 24],
    ),
    # Worth one as soon as players 0, 2 and 3 are all there.
    "unanimity": (game(4, lambda s: {0, 2, 3} <= s), [1 / 3, 0, 1 / 3, 1 / 3]),
    "additive": (game(4, lambda s: sum((5, 1, 2, 7)[i] for i in s)), [5, 1, 2, 7]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_games(name):
    table, values = KNOWN[name]
    np.testing.assert_allclose(ja.shapley_values(table), values, atol=1e-6)


def test_banzhaf_of_a_vote():
    """Penrose's example of swings: 5, 3, 3, 1 of 16 halves."""
    np.testing.assert_allclose(
        ja.banzhaf_values(KNOWN["vote"][0]), np.array([5, 3, 3, 1]) / 8, atol=1e-7
    )


def test_interactions_of_known_games():
    np.testing.assert_allclose(
        ja.shapley_interactions(KNOWN["additive"][0]), 0, atol=1e-5
    )
    # Unanimity of k players: 1 / (k - 1) for each pair among them.
    pairs = np.asarray(ja.shapley_interactions(KNOWN["unanimity"][0]))
    among = [0, 2, 3]
    expected = np.zeros((4, 4))
    expected[np.ix_(among, among)] = 0.5 * (1 - np.eye(3))
    np.testing.assert_allclose(pairs, expected, atol=1e-6)


def test_interaction_is_the_value_of_the_pair_with_less_without_the_other():
    """``I_ij`` = value of i where j is always there, less where it never is."""
    table = random_table()
    split = table.reshape(8, 2, 2)  # player 1 is the middle axis
    with_j, without_j = (split[:, j].reshape(-1) for j in (1, 0))
    expected = ja.shapley_values(with_j)[0] - ja.shapley_values(without_j)[0]
    pairs = ja.shapley_interactions(table)
    np.testing.assert_allclose(pairs[0, 1], expected, atol=1e-5)
    np.testing.assert_allclose(pairs, pairs.T, atol=1e-6)


def test_many_games_are_each_their_own():
    tables = random_table(games=(4,))
    for index in (ja.shapley_values, ja.banzhaf_values, ja.shapley_interactions):
        each = jnp.stack([index(tables[:, n]) for n in range(4)], axis=-1)
        np.testing.assert_allclose(index(tables), each, atol=1e-5)


def test_sixteen_players_in_a_second_and_in_bounded_memory():
    table = jax.random.normal(jax.random.key(0), (2**16, 20))
    ja.shapley_values(table[:, :1])  # compiled programs and the matrix's imports
    begin = time.perf_counter()
    values = ja.shapley_values(table[:, 0]).block_until_ready()
    assert time.perf_counter() - begin < 1
    np.testing.assert_allclose(values.sum(), table[-1, 0] - table[0, 0], atol=1e-4)
    compiled = jax.jit(ja.shapley_values).lower(table).compile()
    temporary = compiled.memory_analysis().temp_size_in_bytes
    assert temporary < 3 * table.nbytes, "no (2^M, M, N) array is made"


BAD = [
    (jnp.zeros(6), r"coalition_values: .*\(2\^M,\).*got float32\[6\]"),
    (jnp.zeros(1), "coalition_values: "),
    (jnp.zeros((4, 2, 2)), "coalition_values: "),
    (jnp.zeros(4, int), "coalition_values: expected a float array"),
    ("table", "coalition_values: "),
]


@pytest.mark.parametrize(("values", "message"), BAD)
def test_bad_tables(values, message):
    for index in (ja.shapley_values, ja.banzhaf_values, ja.shapley_interactions):
        with pytest.raises(ValueError, match=message):
            index(values)


def test_too_many_players_say_what_to_use():
    for make in (ja.coalitions, ja.shapley_matrix):
        with pytest.raises(ValueError, match="at most 20.*shapley_sampled.*got 21"):
            make(21)
        with pytest.raises(ValueError, match="num_players: expected .* at least 1"):
            make(0)


def test_under_jit_grad_and_vmap():
    table = random_table(games=(3,))
    jitted = jax.jit(ja.shapley_values)(table)
    np.testing.assert_allclose(jitted, ja.shapley_values(table), atol=1e-6)
    mapped = jax.vmap(ja.shapley_values, 1, 1)(table)
    np.testing.assert_allclose(mapped, jitted, atol=1e-6)
    gradient = jax.grad(lambda t: ja.shapley_values(t)[0])(table[:, 0])
    np.testing.assert_allclose(
        gradient[1:], ja.shapley_matrix(PLAYERS)[0, 1:], atol=1e-7
    )
