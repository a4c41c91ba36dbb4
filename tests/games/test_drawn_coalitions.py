"""Coalitions made where they are needed: which there are, and how often."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

from jaxattr.games import drawn_coalitions, least_squares

FLOAT = jnp.dtype(jnp.float32)


def drawn(make, keys, players, places, number):
    first = -1 if make is drawn_coalitions.pairs else 0
    run = jax.jit(lambda keys, m, i: make(keys, m, places, number, FLOAT)(i))
    some = run(keys, jnp.asarray(players), jnp.arange(first, number))
    return jax.tree.map(np.asarray, some)


def test_pairs_are_listed_where_they_fit():
    keys = jax.random.split(jax.random.key(0), 2)
    found = drawn(drawn_coalitions.pairs, keys, [5, 3], 5, 15)
    for n, m in enumerate((5, 3)):
        listed = found.share[:, n] > 0
        assert listed.sum() == 2 ** (m - 1)
        members = found.members[listed, n, :m]
        both = {tuple(row) for row in members} | {tuple(~row) for row in members}
        assert len(both) == 2**m
        assert not found.members[:, n, m:].any()
        assert not found.is_drawn[:, n].any()
        totals = collections.Counter()
        for row, share in zip(members, found.share[listed, n]):
            totals[row.sum()] += share
            totals[m - row.sum()] += share
        np.testing.assert_allclose(list(totals.values()), 1, rtol=1e-6)


def test_pairs_are_drawn_where_they_do_not():
    m, number, draws = 7, 23, 400
    keys = jax.random.split(jax.random.key(1), draws)
    found = drawn(drawn_coalitions.pairs, keys, [m] * draws, m, number)
    assert not found.members[0].any()
    np.testing.assert_array_equal(found.members[1 : m + 1, 0], np.eye(m, dtype=bool))
    np.testing.assert_allclose(found.share[1 : m + 1], 1 / m)
    rest = found.members[m + 1 :]
    assert found.is_drawn[m + 1 :].all()
    assert not found.is_drawn[: m + 1].any()
    sizes = rest.sum(-1)
    assert sizes.min() == 2
    assert sizes.max() == m - 2
    # Expected shares of a size are one: half a pair each way.
    for size in range(2, m - 1):
        of_size = (found.share[m + 1 :] * ((sizes == size) + (sizes == m - size))).sum(
            0
        )
        np.testing.assert_allclose(of_size.mean(), 1, atol=0.05)
    # Each player, and each pair of players, as often as any other.
    of_players = rest.mean((0, 1))
    np.testing.assert_allclose(of_players, of_players.mean(), atol=0.03)
    flat = rest.reshape(-1, m).astype(float)
    pairs = (flat.T @ flat / len(flat))[~np.eye(m, dtype=bool)]
    np.testing.assert_allclose(pairs, pairs.mean(), atol=0.03)


@pytest.mark.parametrize("name", quick(["pairs", "halves"], "pairs"))
def test_a_coalition_knows_neither_the_places_nor_the_other_images(name):
    make = getattr(drawn_coalitions, name)
    keys = jax.random.split(jax.random.key(2), 3)
    both = drawn(make, keys, [4, 9, 6], 9, 20)
    alone = drawn(make, keys[2:], [6], 6, 20)
    np.testing.assert_array_equal(both.members[:, 2, :6], alone.members[:, 0])
    np.testing.assert_allclose(both.share[:, 2], alone.share[:, 0])


def test_halves_begin_with_all_and_are_even():
    keys = jax.random.split(jax.random.key(3), 50)
    found = drawn(drawn_coalitions.halves, keys, [8] * 50, 8, 40)
    assert found.members[0].all()
    assert not found.is_drawn[0].any()
    np.testing.assert_allclose(found.members[1:].mean((0, 1)), 0.5, atol=0.05)
    listed = drawn(drawn_coalitions.halves, keys[:1], [3], 4, 10)
    rows = listed.members[listed.share[:, 0] > 0, 0]
    assert len({tuple(row) for row in rows}) == len(rows) == 8


def test_least_squares_and_its_errors():
    rng = np.random.default_rng(0)
    design = rng.normal(size=(40, 2, 3))
    target, weight = rng.normal(size=(40, 2)), rng.uniform(0.5, 1, (40, 2))
    penalty = np.stack([np.diag([0.0, 1.0, 2.0]), np.zeros((3, 3))])
    given = [jnp.asarray(a, jnp.float32) for a in (design, target, weight)]
    rows = lambda index: least_squares.Rows(
        *(a[index] for a in given), jnp.ones((1, 2), bool)
    )
    run = jax.jit(
        lambda p: least_squares.least_squares(rows, 40, p, standard_error=True)
    )
    beta, error = run(jnp.asarray(penalty, jnp.float32))
    for n in range(2):
        x, y, w = design[:, n], target[:, n], weight[:, n]
        inverse = np.linalg.inv(x.T @ (w[:, None] * x) + penalty[n])
        expected = inverse @ (x.T @ (w * y))
        np.testing.assert_allclose(beta[n], expected, atol=1e-5)
        leverage = w * np.einsum("sp,pq,sq->s", x, inverse, x)
        influence = (w * (y - x @ expected) / (1 - leverage))[:, None] * (x @ inverse)
        deviation = influence.std(0, ddof=1) * 40**0.5
        np.testing.assert_allclose(error[n], deviation, rtol=1e-4)


def test_a_singular_regression_is_nan():
    design = jnp.ones((5, 1, 2))
    ones = jnp.ones((5, 1))
    rows = lambda index: least_squares.Rows(
        design[index], ones[index], ones[index], ones[index] > 0
    )
    run = jax.jit(
        lambda p: least_squares.least_squares(rows, 5, p, standard_error=False)
    )
    beta, _ = run(jnp.zeros((1, 2, 2)))
    assert bool(jnp.isnan(beta).all())
