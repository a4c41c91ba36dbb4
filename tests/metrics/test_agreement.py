"""Top-k intersection, Spearman's ρ and Kendall's τ-b against loops and scipy."""

import functools

import jax
import jax.numpy as jnp
import map_pairs
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr._numerics import rankings
from jaxattr.metrics import inversions

stats = pytest.importorskip("scipy.stats")

PAIRS = map_pairs.pairs()
REFERENCES = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}
intersection = jax.jit(ja.top_k_intersection, static_argnames="k")
METRICS = {"spearman": jax.jit(ja.spearman), "kendall": jax.jit(ja.kendall)}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("k", [1, 20, 63])
def test_intersection_against_a_loop(pair, k):
    a, b = PAIRS[pair]
    expected = [
        len(map_pairs.top_k(x, k) & map_pairs.top_k(y, k)) / k for x, y in zip(a, b)
    ]
    np.testing.assert_allclose(intersection(a, b, k=k), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:An input array is constant")
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("metric", METRICS)
def test_correlations_against_scipy(metric, pair):
    a, b = PAIRS[pair]
    for first, second in ((a, b), (b, a), (a, a), (a, -a)):
        actual = METRICS[metric](first, second)
        for value, x, y in zip(actual, first, second):
            expected = REFERENCES[metric](x.ravel(), y.ravel()).statistic
            # Undefined for scipy, zero here: a constant map orders nothing.
            expected = 0 if np.isnan(expected) else expected
            assert value == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("tied", quick([False, True], True))
@pytest.mark.parametrize("metric", METRICS)
def test_correlations_of_large_maps(metric, tied):
    """More than 2^16 pixels: past the sort of packed words, past 32-bit pair counts."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1, 300, 301)).astype(np.float32)
    b = 0.5 * a + b
    if tied:
        a, b = np.maximum(a, 1.5), np.round(b, 1)
    expected = REFERENCES[metric](a.ravel(), b.ravel()).statistic
    assert METRICS[metric](a, b)[0] == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("length", [1, 2, 4, 33])
def test_inversions_against_a_loop(length):
    count = jax.jit(inversions.count_inversions)
    for seed in range(5):
        permutation = np.random.default_rng(seed).permutation(length).astype(np.int32)
        high, low = count(jnp.asarray(permutation))
        expected = sum(
            int((permutation[:i] > p).sum()) for i, p in enumerate(permutation)
        )
        assert int(high) * 4096 + int(low) == expected


def test_inversions_of_a_descending_order_do_not_overflow():
    length = 1 << 17
    high, low = jax.jit(inversions.count_inversions)(
        jnp.arange(length - 1, -1, -1, dtype=jnp.int32)
    )
    assert int(high) * 4096 + int(low) == length * (length - 1) // 2 > 2**32


def test_top_k_mask_takes_the_first_of_equals_and_nan_last():
    nan = jnp.nan
    values = jnp.array([[1.0, -0.0, 0.0, nan, 2.0, -jnp.inf]])
    masks = [
        rankings.top_k_mask(values, k)[0].astype(int).tolist() for k in range(1, 7)
    ]
    assert masks == [
        [0, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 1, 0, 1, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integers_are_ordered_as_floats(dtype):
    with toys.float64():
        values = np.random.default_rng(0).standard_normal(200).astype(dtype)
        values = np.concatenate([values, [0.0, np.inf, -np.inf]])
        integers = rankings.sortable_integers(jnp.asarray(values.astype(dtype)))
        np.testing.assert_array_equal(np.argsort(integers), np.argsort(values))


@pytest.mark.slow
def test_tied_pixels_may_be_permuted_for_correlations_but_not_for_the_top_k():
    """What a map with ties can say, and what it cannot."""
    a = np.zeros((1, 4, 4), np.float32)
    a[0, 0, 0] = 1
    b = a[:, ::-1, ::-1].copy()
    assert ja.top_k_intersection(a, a, k=4)[0] == 1
    assert ja.top_k_intersection(a, b, k=4)[0] == 0.75
    order = np.r_[0, 1 + np.random.default_rng(0).permutation(15)]
    permuted = a.reshape(1, 16)[:, order].reshape(1, 4, 4)
    np.testing.assert_array_equal(permuted, a)
    assert ja.spearman(a, b)[0] == pytest.approx(-1 / 15, abs=1e-6)
    assert ja.kendall(a, b)[0] == pytest.approx(-1 / 15, abs=1e-6)


@pytest.mark.parametrize("metric", ["kendall", "spearman", "top_k_intersection"])
def test_nan_is_passed_on_for_its_image_alone(metric):
    a, b = (x.copy() for x in PAIRS["random"])
    a[0, 3, 3] = np.nan
    run = METRICS.get(metric, functools.partial(intersection, k=5))
    score = run(a, b)
    assert np.isnan(score[0])
    assert score[1] == run(*PAIRS["random"])[1]


@pytest.mark.parametrize("metric", METRICS)
def test_float64(metric):
    with toys.float64():
        a, b = (jnp.asarray(x, jnp.float64) for x in PAIRS["random"])
        actual = getattr(ja, metric)(a, b)
        assert actual.dtype == jnp.float64
        expected = REFERENCES[metric](a[0].ravel(), b[0].ravel()).statistic
        assert float(actual[0]) == pytest.approx(expected, abs=1e-14)


def test_half_precision_is_widened():
    a = jnp.asarray(PAIRS["random"][0], jnp.bfloat16)
    assert ja.kendall(a, a).dtype == jnp.float32


def test_memory_of_kendall_is_that_of_an_image():
    def temporary(n):
        maps = jnp.ones((n, 64, 64))
        memory = jax.jit(ja.kendall).lower(maps, maps).compile().memory_analysis()
        return memory.temp_size_in_bytes

    # The loop may copy the two maps, and the NaN mask takes a byte a pixel; the counting
    # itself, some 48 bytes a pixel, is that of one image.
    assert temporary(33) - temporary(1) < 32 * 64 * 64 * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.ones((2, 7, 9), np.float32)}, "b: expected maps shaped as a"),
        ({"a": np.ones((9, 7), np.float32)}, r"a: expected a non-empty float array"),
        ({"b": np.ones((2, 9, 7), int)}, r"b: expected a float array \(N, H, W\)"),
        ({"k": 64}, "k: expected at most the 63 pixels of a map, got 64"),
        ({"k": 0}, "k: expected an integer of at least 1"),
    ],
)
def test_misuse(change, message):
    a, b = PAIRS["random"]
    with pytest.raises(ValueError, match=message):
        ja.top_k_intersection(**({"a": a, "b": b, "k": 3} | change))
    if "k" not in change:
        for metric in (ja.spearman, ja.kendall):
            with pytest.raises(ValueError, match=message):
                metric(**({"a": a, "b": b} | change))


def test_kendall_refuses_maps_it_could_not_count():
    with pytest.raises(ValueError, match="a: expected maps of at most 524288 pixels"):
        jax.eval_shape(
            ja.kendall, *(jax.ShapeDtypeStruct((1, 725, 725), "float32"),) * 2
        )
