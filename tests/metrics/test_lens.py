"""LENS and its diverse form against loops, with the released scripts' quirks apart."""

import functools

import jax
import jax.numpy as jnp
import map_pairs
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick

import jaxattr as ja

PAIRS = map_pairs.pairs()
SHAPE = (9, 7)
OPTIONS = ("k", "window", "dilate", "legacy")
COMPILED = {
    name: jax.jit(getattr(ja, name), static_argnames=OPTIONS)
    for name in (
        "lens_recall",
        "lens_precision",
        "lens_recall_diverse",
        "lens_precision_diverse",
    )
}
recall, precision = COMPILED["lens_recall"], COMPILED["lens_precision"]
recall_diverse = COMPILED["lens_recall_diverse"]
precision_diverse = COMPILED["lens_precision_diverse"]
diverse = jax.jit(ja.diverse_top_k, static_argnames=("k", "window", "pool", "legacy"))


def places(mask):
    return {(int(r), int(c)) for r, c in np.argwhere(mask)}


def share(original, perturbed, k, window):
    """Recall: what the perturbed map holds near the original's set."""
    return sum(map_pairs.near(p, original, window) for p in perturbed) / k


@pytest.mark.parametrize("window", [0, 1, 8])
@pytest.mark.parametrize("pair", PAIRS)
def test_lens_against_a_loop(pair, window):
    k = 6
    a, b = PAIRS[pair]
    for i, (x, y) in enumerate(zip(a, b)):
        x, y = map_pairs.top_k(x, k), map_pairs.top_k(y, k)
        assert recall(a, b, k=k, window=window)[i] == pytest.approx(
            share(x, y, k, window)
        )
        assert precision(a, b, k=k, window=window)[i] == pytest.approx(
            share(y, x, k, window)
        )


@pytest.mark.parametrize(
    ("window", "k"),
    [
        pytest.param(0, 8, marks=pytest.mark.slow),
        (1, 6),
        pytest.param(1, 20, marks=pytest.mark.slow),
        (3, 4),
    ],
)
@pytest.mark.parametrize("pair", quick(PAIRS, "random", "tied"))
def test_diverse_against_a_loop(pair, window, k):
    a, b = PAIRS[pair]
    sets = []
    for maps in (a, b):
        masks = diverse(maps, k=k, window=window)
        sets.append([places(mask) for mask in masks])
        for mask, values in zip(sets[-1], maps):
            assert mask == map_pairs.greedy(values, k, window)
            apart = [map_pairs.distance(p, q) for p in mask for q in mask if p != q]
            assert not apart or min(apart) > window
    if (window, k) != (1, 6):
        return
    for i, (x, y) in enumerate(zip(*sets)):
        assert recall_diverse(a, b, k=k, window=window)[i] == pytest.approx(
            share(x, y, k, window)
        )
        assert precision_diverse(a, b, k=k, window=window)[i] == pytest.approx(
            share(y, x, k, window)
        )


@pytest.mark.parametrize("pair", PAIRS)
def test_window_zero_is_the_intersection_and_windows_only_help(pair):
    a, b = PAIRS[pair]
    scores = [recall(a, b, k=6, window=w) for w in (0, 1, 2, 8)]
    np.testing.assert_array_equal(scores[0], ja.top_k_intersection(a, b, k=6))
    np.testing.assert_array_equal(recall_diverse(a, b, k=6, window=0), scores[0])
    assert (np.diff(scores, axis=0) >= 0).all()
    np.testing.assert_array_equal(recall(a, a, k=6, window=1), 1)
    for w in (0, 1, 8):
        np.testing.assert_array_equal(
            recall(a, b, k=6, window=w), precision(b, a, k=6, window=w)
        )
    np.testing.assert_array_equal(
        recall_diverse(a, b, k=6, window=1), precision_diverse(b, a, k=6, window=1)
    )


@pytest.mark.parametrize("kind", quick(["", "_diverse"], ""))
def test_dilate_says_which_map_is_dilated(kind):
    a, b = np.zeros((2, 1, 9, 7), np.float32)
    a[0, 4, 3], a[0, 0, 0] = b[0, 4, 1], b[0, 4, 5] = 2, 1
    one, other = (COMPILED[f"lens_{name}{kind}"] for name in ("recall", "precision"))
    options = {"k": 2, "window": 2}
    first, second = one(a, b, **options), other(a, b, **options)
    # Both of b's pixels are near the centre of a, which is one of a's two.
    assert (float(first[0]), float(second[0])) == (1, 0.5)
    np.testing.assert_array_equal(one(a, b, dilate="perturbed", **options), second)
    np.testing.assert_array_equal(other(a, b, dilate="original", **options), first)


def test_a_crowded_map_says_how_many_and_divides_by_k():
    """Nine pixels fit two apart in 5 x 5, but not around the centre's."""
    a = np.zeros((1, 5, 5), np.float32)
    a[0, 2, 2] = 2
    a[0, 1, 1], a[0, 0, 3] = 1, 1
    mask = diverse(a, k=9, window=1)
    count = len(map_pairs.greedy(a[0], 9, 1))
    assert int(mask.sum()) == count < 9
    assert recall_diverse(a, a, k=9, window=1)[0] == pytest.approx(count / 9)


def test_too_many_pixels_are_refused_with_the_largest_number_that_fits():
    a = PAIRS["random"][0]
    assert int(diverse(PAIRS["both constant"][0], k=20, window=1)[0].sum()) == 20
    message = "k: expected at most 20, all that fit 1 apart in maps of 9x7, got 21"
    for call in (ja.diverse_top_k, lambda a, **o: ja.lens_recall_diverse(a, a, **o)):
        with pytest.raises(ValueError, match=message):
            call(a, k=21, window=1)


def test_pool_limits_the_candidates():
    a = PAIRS["random"][0]
    mask = ja.diverse_top_k(a, k=6, window=1, pool=8)
    for m, values in zip(mask, a):
        pool = map_pairs.top_k(values, 8)
        masked = np.full_like(values, -1e9)
        for p in pool:
            masked[p] = values[p]
        assert places(m) == map_pairs.greedy(masked, 6, 1) & pool


@pytest.mark.parametrize("pair", ["random", "edges", "ramp", "sparse", "tied"])
@pytest.mark.parametrize("window", quick([1, 2, 4], 1, 4))
def test_legacy_is_the_released_loop(pair, window):
    k, width = 4, SHAPE[1]
    pool = {1: 6, 2: 15}.get(window, 1000) * k
    a, b = PAIRS[pair]
    masks = diverse(a, k=2, window=window, legacy=True)
    for mask, values in zip(masks, a):
        released = map_pairs.released_greedy(values, 2, window, pool // k * 2)
        assert set(np.flatnonzero(mask)) == set(released)
    if window == 4:
        return
    scores = recall_diverse(a, b, k=k, window=window, legacy=True)
    plain = recall(a, b, k=k, window=window, legacy=True)
    flat = lambda places: {r * width + c for r, c in places}
    for i, (x, y) in enumerate(zip(a, b)):
        sets = [set(map_pairs.released_greedy(v, k, window, pool)) for v in (x, y)]
        expected = map_pairs.released_recall(*sets, k, window, width)
        assert scores[i] == pytest.approx(expected)
        sets = [flat(map_pairs.top_k(v, k)) for v in (x, y)]
        expected = map_pairs.released_recall(*sets, k, window, width)
        assert plain[i] == pytest.approx(expected)


@pytest.mark.slow
def test_legacy_quirks_one_by_one():
    a = np.zeros((1, 5, 6), np.float32)
    a[0, 0, 0], a[0, 2, 0], a[0, 2, 3], a[0, 4, 5] = 9, 8, 7, 6
    # The first pixel is never taken, the second best is struck out unseen.
    assert places(ja.diverse_top_k(a, k=2, window=1, legacy=True)[0]) == {
        (2, 0),
        (4, 5),
    }
    assert places(ja.diverse_top_k(a, k=2, window=1)[0]) == {(0, 0), (2, 0)}
    # A window in the first column runs on into the end of the row before.
    b = np.zeros((1, 5, 6), np.float32)
    b[0, 1, 5] = 1
    a[0, 0, 0] = 0
    assert ja.lens_recall(a, b, k=1, window=1, legacy=True)[0] == 1
    assert ja.lens_recall(a, b, k=1, window=1)[0] == 0


def test_nan_is_passed_on_for_its_image_alone_and_never_taken():
    a, b = (x.copy() for x in PAIRS["random"])
    b[1, 2, 2] = np.nan
    for score in (recall, precision, recall_diverse, precision_diverse):
        values = score(a, b, k=5, window=1)
        assert np.isnan(values[1])
        assert values[0] == score(*PAIRS["random"], k=5, window=1)[0]
    assert not ja.diverse_top_k(b, k=63, window=0)[1, 2, 2]


@pytest.mark.parametrize("score", quick([recall, recall_diverse], recall))
def test_batches_are_rows_vmap_and_sharding(score):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 4, 9, 7)).astype(np.float32)
    mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,))
    sharded = jax.device_put((a, b), NamedSharding(mesh, P("data")))
    together = score(a, b, k=5, window=1)
    alone = [score(a[i : i + 1], b[i : i + 1], k=5, window=1)[0] for i in range(4)]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(score(*sharded, k=5, window=1), together)
    mapped = jax.vmap(lambda x, y: score(x[None], y[None], k=5, window=1)[0])(a, b)
    np.testing.assert_array_equal(mapped, together)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.ones((2, 7, 9), np.float32)}, "b: expected maps shaped as a"),
        ({"k": 64, "window": 0}, "k: expected at most"),
        ({"window": -1}, "window: expected an integer of at least 0, got -1"),
        ({"window": 1.5}, "window: expected an integer"),
        ({"dilate": "both"}, "dilate: unknown 'both'; known: original, perturbed"),
    ],
)
@pytest.mark.parametrize("name", quick(COMPILED, "lens_recall", "lens_recall_diverse"))
def test_misuse(name, change, message):
    a, b = PAIRS["random"]
    with pytest.raises(ValueError, match=message):
        getattr(ja, name)(**({"a": a, "b": b, "k": 3, "window": 1} | change))


def test_no_host_round_trip():
    """All of it traces: nothing looks at values."""
    shape = jax.ShapeDtypeStruct((2, 16, 16), jnp.float32)
    for name in COMPILED:
        score = functools.partial(getattr(ja, name), k=5, window=1)
        assert jax.eval_shape(score, shape, shape).shape == (2,)
