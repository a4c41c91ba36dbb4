"""KernelSHAP, LIME and interactions of segments: closed forms, axioms, peers, errors."""

import functools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

GOLDENS = pathlib.Path(__file__).with_name("perturbation_goldens.npz")
X, Y = toys.images(2), toys.labels(2)
LINEAR, WEIGHTS = toys.linear()
SMOOTH = functools.partial(toys.smooth_logits, toys.init_smooth(jax.random.key(0)))
KEY = jax.random.key(3)
KEYS = jax.random.split(KEY, 2)
GRID = (2, 3)
IDS = np.asarray(ja.segments.grid(6, 5, *GRID))


@functools.cache
def table(substrate=0.1):
    """``(64, 2)``: what every coalition is worth, one image at a time, in float64."""
    members = np.asarray(ja.coalitions(6))
    keep = members[:, IDS][..., None]
    columns = []
    for n in range(2):
        logits = SMOOTH(jnp.where(keep, X[n][None], substrate))
        columns.append(np.asarray(logits, np.float64)[:, Y[n]])
    return members, np.stack(columns, 1)


@functools.cache
def shapley(num_samples):
    run = jax.jit(
        lambda x, y, keys: ja.segment_shapley(
            *(SMOOTH, x, y),
            key=keys,
            segments=GRID,
            substrate=0.1,
            num_samples=num_samples,
        )
    )
    return run(X, Y, KEYS)


@functools.cache
def repeated(num_samples, seeds=300):
    run = jax.jit(
        jax.vmap(
            lambda key: ja.segment_shapley(
                *(SMOOTH, X[:1], Y[:1]),
                key=key,
                segments=GRID,
                substrate=0.1,
                num_samples=num_samples,
            )
        )
    )
    found = run(jax.random.split(jax.random.key(8), seeds))
    return jax.tree.map(lambda a: np.asarray(a, np.float64)[:, 0], found)


def weighted_regression(members, values):
    """KernelSHAP's constrained regression over the coalitions of a table, in float64."""
    m = members.shape[1]
    size = members.sum(1)
    inner = (size > 0) & (size < m)
    kernel = np.array([(m - 1) / (math.comb(m, k) * k * (m - k)) for k in size[inner]])
    design = members[inner].astype(float)
    gain = values[-1] - values[0]
    # Lagrange: minimise with the sum of φ held.
    gram = design.T @ (kernel[:, None] * design)
    moment = design.T @ (kernel * (values[inner] - values[0]))
    system = np.block([[gram, np.ones((m, 1))], [np.ones((1, m)), np.zeros((1, 1))]])
    return np.linalg.solve(system, np.append(moment, gain))[:m]


@pytest.mark.parametrize("num_samples", quick([64, 500], 64))
def test_all_coalitions_give_the_shapley_values_and_interactions(num_samples):
    members, values = table()
    found = shapley(num_samples)
    exact = np.asarray(ja.shapley_values(jnp.asarray(values, jnp.float32))).T
    np.testing.assert_allclose(found.values, exact, atol=1e-5)
    for n in range(2):
        expected = weighted_regression(members, values[:, n])
        np.testing.assert_allclose(found.values[n], expected, atol=1e-5)
    pairs = ja.shapley_interactions(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(found.interactions, np.moveaxis(pairs, -1, 0), atol=2e-5)
    assert float(jnp.abs(found.interactions).max()) > 0.05
    for error in (found.standard_error, found.interactions_standard_error):
        assert float(jnp.abs(error).max()) == 0


@pytest.mark.slow
def test_few_coalitions_are_near_and_their_errors_mean_what_they_say():
    _, values = table()
    exact = np.asarray(ja.shapley_values(jnp.asarray(values[:, 0], jnp.float32)))
    pairs = np.asarray(ja.shapley_interactions(jnp.asarray(values[:, 0], jnp.float32)))
    found = repeated(40)
    seeds = len(found.values)
    spread = found.values.std(0, ddof=1)
    # A regression on drawn rows has a bias of order one in their number, 13 here.
    assert (np.abs(found.values.mean(0) - exact) < 0.5 * spread).all()
    typical = np.sqrt((found.standard_error**2).mean(0))
    ratio = typical / spread
    assert ((ratio > 0.75) & (ratio < 1.6)).all(), ratio
    np.testing.assert_allclose(
        found.values.sum(1), values[-1, 0] - values[0, 0], atol=1e-5
    )
    apart = ~np.eye(6, dtype=bool)
    spread = found.interactions.std(0, ddof=1)[apart]
    error = np.abs(found.interactions.mean(0) - pairs)[apart]
    assert (error < 5 * spread / seeds**0.5).all()
    typical = np.sqrt((found.interactions_standard_error**2).mean(0))[apart]
    ratio = typical / spread
    assert ((ratio > 0.75) & (ratio < 1.6)).all(), ratio


@pytest.mark.slow
def test_linear_models_need_no_luck():
    """φ and LIME's β without ridge are the sums of ``w (x - s)``; no interactions."""
    substrate = 0.3
    w = np.stack([np.asarray(WEIGHTS)[..., y] for y in Y]).astype(np.float64)
    by_pixel = (w * (np.asarray(X) - substrate)).sum(-1)
    sums = np.stack([by_pixel[:, IDS == k].sum(1) for k in range(6)], 1)
    options = {"key": KEY, "segments": IDS, "substrate": substrate}
    for maps in (
        ja.kernel_shap(LINEAR, X, Y, num_samples=20, **options),
        ja.lime(LINEAR, X, Y, num_samples=20, alpha=0.0, **options),
    ):
        np.testing.assert_allclose(ja.segments.sums(maps, IDS), sums, atol=1e-4)
        for k in range(6):
            inside = np.asarray(maps)[:, IDS == k]
            expected = sums[:, k, None, None] / (3 * (IDS == k).sum())
            np.testing.assert_allclose(
                inside, np.broadcast_to(expected, inside.shape), atol=1e-5
            )
    pairs = ja.segment_shapley(LINEAR, X, Y, num_samples=20, **options)
    np.testing.assert_allclose(pairs.interactions, 0, atol=1e-3)


@pytest.mark.slow
def test_missing_and_alike_segments():
    """One that the model does not see has zero, two that it cannot tell apart the same."""

    def model(x):
        left = jnp.mean(x[:, :, :2], axis=(1, 2)) * jnp.mean(x[:, :, 3:], axis=(1, 2))
        return left**2 * jnp.arange(1.0, 4.0)[None]

    images = jnp.full((1, 6, 5, 3), 0.8)
    ids = jnp.array([0, 0, 1, 2, 2])[None, :] + jnp.zeros((6, 1), int)
    found = ja.segment_shapley(model, images, Y[:1], key=KEY, segments=ids)
    values = found.values[0]
    np.testing.assert_allclose(values[1], 0, atol=1e-6)
    np.testing.assert_allclose(values[0], values[2], rtol=1e-5)
    assert float(values[0]) > 0.1
    np.testing.assert_allclose(found.interactions[0, 0, 2], 2 * values[0], rtol=1e-5)
    np.testing.assert_allclose(found.interactions[0, 1], 0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kernel_shap", "lime", "segment_shapley"])
def test_images_with_fewer_segments_are_as_they_are_alone(name):
    """With 13 and 3 segments: one draws, the other lists; neither knows the other."""
    many = np.array(ja.segments.grid(6, 5, 6, 2))
    many[0, 0] = 12
    few = np.asarray(ja.segments.grid(6, 5, 3, 1))
    ids = np.stack([many, few])
    options = {"return_standard_error": True} if name != "segment_shapley" else {}
    explain = functools.partial(getattr(ja, name), num_samples=40, **options)
    both = explain(SMOOTH, X, Y, key=KEYS, segments=ids)
    for n in range(2):
        one = slice(n, n + 1)
        alone = explain(SMOOTH, X[one], Y[one], key=KEYS[one], segments=ids[one])
        for a, b in zip(both, alone):
            if name == "segment_shapley":
                m = b.shape[1]
                assert float(jnp.abs(a[one, m:]).max(initial=0)) == 0
                a = a[:, :m, :m] if a.ndim == 3 else a[:, :m]
            np.testing.assert_allclose(a[one], b, atol=3e-6)
    if name == "segment_shapley":
        gain = jnp.take_along_axis(SMOOTH(X) - SMOOTH(0 * X), Y[:, None], 1)[:, 0]
        np.testing.assert_allclose(both.values.sum(1), gain, atol=1e-5)


def slow_ridge(design, target, weight, alpha):
    """Weighted ridge with an intercept that is not penalised, in float64."""
    mean_x = weight @ design / weight.sum()
    mean_y = weight @ target / weight.sum()
    x, y = design - mean_x, target - mean_y
    gram = x.T @ (weight[:, None] * x) + alpha * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ (weight * y))


@pytest.mark.parametrize("alpha", quick([0.0, 1.0], 1.0))
def test_lime_is_a_weighted_ridge_regression(alpha):
    members, values = table()
    run = functools.partial(
        ja.lime,
        SMOOTH,
        key=KEY,
        segments=GRID,
        substrate=0.1,
        num_samples=64,
        alpha=alpha,
        kernel_width=0.4,
    )
    maps = jax.jit(run)(X, Y)
    distance = 1 - np.sqrt(members.mean(1))
    weight = np.exp(-(distance**2) / (2 * 0.4**2))
    for n, found in enumerate(np.asarray(ja.segments.sums(maps, GRID))):
        expected = slow_ridge(members.astype(float), values[:, n], weight, alpha)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.slow
def test_the_standard_error_of_lime_is_that_of_other_keys():
    run = jax.jit(
        jax.vmap(
            lambda key: ja.lime(
                *(SMOOTH, X[:1], Y[:1]),
                key=key,
                segments=GRID,
                num_samples=60,
                alpha=0.1,
                kernel_width=0.5,
                return_standard_error=True,
            )
        )
    )
    maps, errors = jnp.moveaxis(run(jax.random.split(jax.random.key(2), 300)), 1, 0)
    sums = jax.vmap(lambda maps: ja.segments.sums(maps, GRID))
    spread = np.asarray(sums(maps))[:, 0].std(0, ddof=1)
    typical = np.sqrt((np.asarray(sums(errors))[:, 0] ** 2).mean(0))
    ratio = typical / spread
    assert ((ratio > 0.75) & (ratio < 1.5)).all(), ratio


@pytest.mark.slow
def test_lime_without_a_ridge_says_when_samples_do_not_tell():
    """A model of 20 segments, 22 samples: some coefficients are open."""
    options = {"key": KEY, "segments": (5, 4), "num_samples": 22}
    run = lambda alpha: ja.lime(SMOOTH, X, Y, alpha=alpha, **options)
    assert bool(jnp.isfinite(run(1.0)).all())
    same = jnp.zeros((2, 6, 5), int)  # one segment: always determined
    assert bool(
        jnp.isfinite(ja.lime(SMOOTH, X, Y, alpha=0.0, key=KEY, segments=same)).all()
    )


@pytest.mark.slow
def test_traced_segments_are_the_same_and_gaps_are_nan():
    ids = jnp.stack([jnp.asarray(IDS), jnp.asarray(IDS[::-1])])
    explain = functools.partial(ja.kernel_shap, SMOOTH, key=KEYS, num_samples=20)
    run = jax.jit(lambda s: explain(X, Y, segments=s, num_segments=6))
    np.testing.assert_allclose(run(ids), explain(X, Y, segments=ids), atol=1e-6)
    for wrong in (jnp.where(ids == 2, 1, ids), ids + 1, ids - 1):
        maps = run(ids.at[1].set(wrong[1]))
        assert bool(jnp.isfinite(maps[0]).all())
        assert bool(jnp.isnan(maps[1]).all())


@pytest.mark.slow
def test_captum_and_shapiq():
    golden = np.load(GOLDENS)
    with toys.float64():
        hidden, head = (jnp.asarray(golden[k]) for k in ("hidden", "head"))
        model = lambda x: jnp.tanh(x.reshape(len(x), -1) @ hidden) @ head
        x, y = (jnp.asarray(golden[k]) for k in ("images", "labels"))
        occlude = functools.partial(ja.occlusion, model, x, y, substrate=0.2)
        close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9)
        close(occlude(window=3, stride=2), golden["occlusion"])
        close(occlude(window=2, stride=2), golden["feature_ablation"])
        ids = golden["segments"]
        options = {"key": KEYS, "segments": ids, "substrate": 0.2}
        lime = ja.lime(model, x, y, alpha=0.5, **options)
        found = ja.segment_shapley(model, x, y, **options)
        by_segment = ja.segments.sums(lime, ids)
        for n in range(2):
            m = ids[n].max() + 1
            close(by_segment[n, :m], golden[f"lime_{n}"])
            # Captum keeps these in float32.
            close(found.values[n, :m], golden[f"shapley_{n}"], atol=1e-5)
            close(found.values[n, :m], golden[f"kernel_shap_{n}"], atol=1e-5)
            close(found.interactions[n, :m, :m], golden[f"sii_{n}"])


BAD = [
    ("kernel_shap", {"num_samples": 17}, "num_samples: expected at least 18 for 6 seg"),
    ("segment_shapley", {"num_samples": 17}, "num_samples: expected at least 18 for 6"),
    ("lime", {"num_samples": 7}, "num_samples: expected at least 8 for 6 segments"),
    ("lime", {"alpha": -1.0}, "alpha: expected a number of at least 0"),
    ("lime", {"kernel_width": 0.0}, "kernel_width: expected a number above zero"),
    ("kernel_shap", {"substrate": 3.0}, "substrate: expected values within the bounds"),
    ("kernel_shap", {"key": None}, "key: this method draws at random"),
    ("lime", {"key": None}, "key: this method draws at random"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_bad_input(name, change, message):
    given = {"key": KEY, "segments": GRID, "num_samples": 40} | change
    with pytest.raises(ValueError, match=message):
        getattr(ja, name)(SMOOTH, X, Y, **given)
