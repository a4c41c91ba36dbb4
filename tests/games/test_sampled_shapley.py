"""Sampled Shapley values: unbiased, with errors that mean what they say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

import jaxattr as ja
from jaxattr.games.sampled_shapley import ESTIMATORS

NAMES = sorted(ESTIMATORS)
PLAYERS, SAMPLES, SEEDS = 7, 302, 200


def lookup(table):
    players = int(np.log2(len(table)))
    places = 2 ** jnp.arange(players)
    return lambda coalition: table[jnp.sum(jnp.where(coalition, places, 0))]


def sampled(value_fn, num_players, key, **options):
    """Compiled whole: by itself every operation would be a program of its own."""
    run = jax.jit(
        lambda key: ja.shapley_sampled(value_fn, num_players, key=key, **options)
    )
    return run(key)


@functools.cache
def repeated(name, seed):
    """Values and errors over 200 seeds, and the exact values, of a random game."""
    table = jax.random.normal(jax.random.key(seed), (2**PLAYERS,))
    run = jax.jit(
        jax.vmap(
            lambda key: ja.shapley_sampled(
                lookup(table), PLAYERS, key=key, num_samples=SAMPLES, estimator=name
            )
        )
    )
    values, errors = run(jax.random.split(jax.random.key(100 + seed), SEEDS))
    return map(np.asarray, (values, errors, ja.shapley_values(table)))


@pytest.mark.parametrize("name", NAMES)
def test_unbiased_and_covered(name):
    values, errors, exact = repeated(name, 0)
    spread = values.std(0, ddof=1)
    assert spread.min() > 0
    assert (np.abs(values.mean(0) - exact) < 4 * spread / SEEDS**0.5).all()
    # A 95 % interval covers 95 % of 1,400 (dependent) estimates, give or take.
    covered = (np.abs(values - exact) < 1.96 * errors).mean()
    assert 0.92 < covered < 0.975
    np.testing.assert_allclose(np.sqrt((errors**2).mean(0)), spread, rtol=0.25)


@pytest.mark.parametrize("name", NAMES)
def test_sums_to_what_everybody_gains(name):
    table = jax.random.normal(jax.random.key(4), (2**PLAYERS,))
    values, _ = sampled(
        lookup(table), PLAYERS, jax.random.key(0), num_samples=60, estimator=name
    )
    np.testing.assert_allclose(values.sum(), table[-1] - table[0], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_exact_for_games_of_players_and_pairs(name):
    weights = jax.random.normal(jax.random.key(2), (PLAYERS, PLAYERS))

    def pairs(coalition):
        here = coalition.astype(float)
        return here @ weights @ here + 3

    table = jax.vmap(pairs)(ja.coalitions(PLAYERS))
    key = jax.random.key(0)
    values, errors = sampled(pairs, PLAYERS, key, num_samples=60, estimator=name)
    np.testing.assert_allclose(values, ja.shapley_values(table), atol=2e-5)
    if name == "kernel":
        np.testing.assert_allclose(errors, 0, atol=2e-5)


@pytest.mark.parametrize("name", quick(NAMES, "kernel"))
def test_games_share_draws_and_chunks_change_nothing(name):
    tables = jax.random.normal(jax.random.key(3), (2**PLAYERS, 3))
    given = {"key": jax.random.key(1), "num_samples": 90, "estimator": name}
    values, errors = sampled(lookup(tables), PLAYERS, **given)
    assert values.shape == errors.shape == (PLAYERS, 3)
    alone, error = sampled(lookup(tables[:, 1]), PLAYERS, **given)
    np.testing.assert_allclose(values[:, 1], alone, atol=1e-5)
    np.testing.assert_allclose(errors[:, 1], error, rtol=1e-3)
    chunked, _ = sampled(lookup(tables), PLAYERS, samples_per_call=7, **given)
    np.testing.assert_allclose(chunked, values, atol=1e-6)


@pytest.mark.parametrize("name", quick(NAMES, "permutation"))
def test_no_more_calls_than_asked_for(name):
    for most in (40, 61, 100):
        plan = ESTIMATORS[name].plan(jax.random.key(0), PLAYERS, most)
        assert len(plan) <= most
        assert not plan[0].any()
        assert plan[1].all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_thirty_players(name):
    """Beyond enumeration; the errors say how far off the known values are."""
    strength = jnp.linspace(1, 2, 30)
    # Unanimity of disjoint triples: each member has a third of its triple's worth.
    triples = strength.reshape(10, 3)[:, 0]

    def worth(coalition):
        whole = jnp.all(coalition.reshape(10, 3), axis=1)
        return jnp.sum(jnp.where(whole, triples, 0))

    values, errors = sampled(
        worth, 30, jax.random.key(0), num_samples=2000, estimator=name
    )
    exact = jnp.repeat(triples / 3, 3)
    assert float(errors.max()) < 0.1
    assert float(jnp.mean(((values - exact) / errors) ** 2)) < 2


BAD = [
    ({"estimator": "kernal"}, "estimator: unknown 'kernal'; did you mean kernel"),
    ({"key": None}, "key: expected one typed key"),
    ({"key": jnp.zeros(3, "uint32")}, "key: expected one typed key"),
    ({"key": jax.random.split(jax.random.key(0), 3)}, "key: expected one typed key"),
    (
        {"num_samples": 10},
        r"num_samples: expected at least 30 for 7 players \(kernel\)",
    ),
    ({"num_players": 1}, "num_players: expected an integer of at least 2"),
    ({"samples_per_call": 0}, "samples_per_call: "),
    ({"value_fn": lambda c: jnp.sum(c)}, "value_fn: expected floats"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    given = {
        "value_fn": lambda c: jnp.sum(c.astype(float)),
        "num_players": PLAYERS,
        "key": jax.random.key(0),
        "num_samples": 60,
    } | change
    value_fn, players = given.pop("value_fn"), given.pop("num_players")
    with pytest.raises(ValueError, match=message):
        ja.shapley_sampled(value_fn, players, **given)
