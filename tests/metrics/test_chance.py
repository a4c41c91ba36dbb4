"""The three nulls, and LENS-Spearman and LENS-Kendall, which need one as well."""

import functools

import jax
import jax.numpy as jnp
import map_pairs
import numpy as np
import pytest
from quick import quick

import jaxattr as ja

PAIRS = map_pairs.pairs()
KEY = jax.random.key(0)
# Recall of independent random top-k sets, side, k, and windows 0 to 3.
TABLE = {
    28: (100, (0.13, 0.69, 0.95, 0.99)),
    128: (1000, (0.06, 0.43, 0.78, 0.95)),
    224: (1000, (0.02, 0.17, 0.39, 0.62)),
    227: (1000, (0.02, 0.16, 0.38, 0.61)),
}


@pytest.mark.slow
@pytest.mark.parametrize("side", quick(TABLE, 28))
def test_the_chance_table(side):
    k, expected = TABLE[side]
    maps = jnp.zeros((4, side, side))
    for window, value in enumerate(expected):
        measure = functools.partial(ja.lens_recall, k=k, window=window)
        chance = jax.jit(functools.partial(ja.lens_chance, measure, num_samples=8))
        draws = chance(maps, maps, key=KEY)
        # The table has two decimals; 32 draws of k pixels have this error.
        error = 0.005 + 4 * np.sqrt(value * (1 - value) / (32 * k))
        assert draws.mean() == pytest.approx(value, abs=error)


def marks(value):
    """A measure that shows what it is called with."""
    return lambda a, b: (
        a.reshape(len(a), -1)[:, value] * 100 + b.reshape(len(b), -1)[:, 0]
    )


def test_a_shift_keeps_the_texture_and_moves_it():
    a = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    chance = jax.jit(
        lambda key: ja.lens_chance(marks(0), a, a, key=key, null="shift", num_samples=1)
    )
    found = {int(chance(jax.random.key(i))[0]) for i in range(60)}
    # Every shift but none: the first pixel can hold any value but its own.
    assert found == set(range(1, 12))
    b = PAIRS["random"][1]
    same = ja.lens_chance(
        lambda a, b: jnp.sort(b.reshape(2, -1), axis=1)[:, 7],
        b,
        b,
        key=KEY,
        null="shift",
        num_samples=3,
    )
    np.testing.assert_allclose(same, np.sort(b.reshape(2, -1), axis=1)[:, 7], rtol=1e-6)


def test_photographs_are_never_ones_own():
    a = (
        np.zeros((3, 2, 2), np.float32)
        + np.arange(3.0, dtype=np.float32)[:, None, None]
    )
    given = {"null": "photographs", "num_samples": 1}
    chance = jax.jit(lambda key: ja.lens_chance(marks(0), a, a, key=key, **given))
    seen = [chance(jax.random.key(i)) for i in range(20)]
    found = {(i, int(row[i]) - 100 * i) for row in seen for i in range(3)}
    assert found == {(i, j) for i in range(3) for j in range(3) if i != j}
    others = np.full((2, 2, 2), 7, np.float32)
    chance = ja.lens_chance(marks(0), a, a, key=KEY, null="photographs", others=others)
    np.testing.assert_array_equal(chance, [7, 107, 207])
    with pytest.raises(ValueError, match=r"others: expected maps \(R, H, W\), where"):
        ja.lens_chance(marks(0), a[:1], a[:1], key=KEY, null="photographs")


@pytest.mark.parametrize("null", quick(["random", "shift"], "shift"))
def test_an_image_has_the_same_chance_in_any_batch(null):
    a, b = PAIRS["random"]
    measure = functools.partial(ja.lens_recall, k=5, window=1)
    keys = jax.random.split(KEY, 2)
    together = ja.lens_chance(measure, a, b, key=keys, null=null)
    alone = ja.lens_chance(measure, a[1:], b[1:], key=keys[1:], null=null)
    np.testing.assert_array_equal(together[1:], alone)


def test_corrected_scores():
    score = jnp.array([1.0, 0.6, 0.2, 1.0, 0.5, jnp.nan])
    chance = jnp.array([0.6, 0.6, 0.6, 1.0, jnp.nan, 0.6])
    corrected = ja.chance_corrected(score, chance)
    np.testing.assert_allclose(corrected, [1, 0, -1, 0, np.nan, np.nan], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": None}, "key: this method draws at random"),
        ({"null": "none"}, "null: unknown 'none'; known: photographs, random, shift"),
        ({"num_samples": 0}, "num_samples: expected an integer of at least 1"),
        ({"others": np.zeros((1, 3, 3), np.float32)}, r"others: expected float32 maps"),
    ],
)
def test_misuse(change, message):
    a, b = PAIRS["random"]
    with pytest.raises(ValueError, match=message):
        ja.lens_chance(**({"measure": marks(0), "a": a, "b": b, "key": KEY} | change))


def pooled(a, window, pool, pad):
    """The window of each pixel, one at a time."""
    result = np.zeros_like(a)
    for n, r, c in np.ndindex(a.shape):
        rows = slice(max(0, r - window), r + window + 1)
        cut = a[n, rows, max(0, c - window) : c + window + 1]
        full = (2 * window + 1) ** 2
        mean = cut.sum() / (full if pad == "zero" else cut.size)
        result[n, r, c] = cut.max() if pool == "max" else mean
    return result


@pytest.mark.parametrize("pair", quick(["random", "edges"], "edges"))
@pytest.mark.parametrize("window", [pytest.param(0, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize(
    ("pool", "pad"),
    [
        ("mean", "count"),
        pytest.param("mean", "zero", marks=pytest.mark.slow),
        pytest.param("max", "zero", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_smoothed_correlations(pair, window, pool, pad):
    # Quarters: the sums of a window are exact, and ties stay ties.
    a, b = (np.round(4 * x) / 4 for x in PAIRS[pair])
    smooth = [pooled(v, window, pool, pad) for v in (a, b)]
    options = {"window": window, "pool": pool, "pad": pad}
    for metric, plain in (
        (ja.lens_spearman, ja.spearman),
        (ja.lens_kendall, ja.kendall),
    ):
        actual = jax.jit(functools.partial(metric, **options))(a, b)
        # The order of a sum may tell apart what is equal.
        tolerance = 1e-6 if pool == "max" or window == 0 else 0.02
        np.testing.assert_allclose(actual, plain(*smooth), atol=tolerance)


def test_smoothed_misuse():
    a, b = PAIRS["random"]
    for change, message in (
        ({"pool": "median"}, "pool: unknown"),
        ({"pad": "wrap"}, "pad: unknown"),
        ({"window": -1}, "window: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            ja.lens_spearman(a, b, **({"window": 1} | change))
