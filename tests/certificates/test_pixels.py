"""The certificate of pixels: exact bounds, a known half-space, and attacks."""

import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import toys

import jaxattr as ja
from jaxattr.certificates.binomial import STEP, least_samples, radii_of_counts

KEY = jax.random.key(8)
normal = statistics.NormalDist()


@pytest.mark.parametrize(("num", "alpha"), [(20, 0.01), (100, 1e-3), (1000, 1e-8)])
def test_bounds_are_those_of_clopper_and_pearson(num, alpha):
    """Rounded down: ``Φ⁻¹`` of the α quantile of Beta(k, n - k + 1)."""
    counts = np.arange(1, num + 1)
    lower = scipy.stats.beta.ppf(alpha, counts, num - counts + 1)
    exact = np.array([max(0.0, normal.inv_cdf(p)) for p in lower])
    radii = radii_of_counts(num, alpha)[1:]
    assert (radii <= exact + 1e-6).all()
    assert (radii >= exact - 1.01 * STEP).all()
    assert radii_of_counts(num, alpha)[0] == 0


@pytest.mark.parametrize("probability", [0.4, 0.5, 0.7, 0.95])
def test_how_often_a_bound_is_wrong(probability):
    """All counts that claim more than is so, together: at most α."""
    num, alpha = 50, 0.02
    claimed = [normal.cdf(r) if r else 0.0 for r in radii_of_counts(num, alpha)]
    mass = scipy.stats.binom.pmf(np.arange(num + 1), num, probability)
    assert mass[np.array(claimed) > probability].sum() <= alpha


def test_a_radius_just_out_of_reach_is_not_claimed():
    """All of 20 are heads with a probability of α, or of a little more, at z."""
    z = 100 * STEP
    for factor, expected in ((1 + 3e-6, z), (1 - 5e-7, z - STEP)):
        radii = radii_of_counts(20, normal.cdf(z) ** 20 * factor)
        np.testing.assert_allclose(radii[-1], expected)


def test_the_least_number_of_samples():
    for alpha in (0.1, 1e-3, 1e-8):
        least = least_samples(alpha)
        assert radii_of_counts(least, alpha)[-1] > 0
        assert radii_of_counts(least - 1, alpha)[-1] == 0


def test_against_a_loop():
    """Every draw by itself; bounds from scipy, at α over twice the pixels."""
    x, num, alpha, stddev = toys.images(), 50, 0.01, 0.05
    factors = jnp.array([1.0, 2.0, jnp.nan])[:, None, None, None]
    explain = lambda x: jnp.sin(9 * x) * factors  # channels of both signs
    options = {"stddev": stddev, "num_samples": num, "fraction": 0.12, "alpha": alpha}
    found = jax.jit(functools.partial(ja.certified_pixels, explain, **options))(
        x, key=KEY
    )
    draw = lambda i, s: jax.random.normal(
        jax.random.fold_in(jax.random.fold_in(KEY, i), s), x.shape[1:]
    )
    noise = jax.vmap(jax.vmap(draw, (None, 0)), (0, None))(
        jnp.arange(3), jnp.arange(num)
    )
    maps = jnp.sin(9 * (x[:, None] + stddev * noise))
    sizes = np.abs(maps).sum(-1).reshape(3, num, 30)[:2]
    counts = (sizes >= np.sort(sizes)[..., -4:-3]).sum(1)  # 3.6 pixels, rounded

    def radius(heads):
        known = np.maximum(heads, 1)
        lower = scipy.stats.beta.ppf(alpha / 60, known, num - known + 1)
        return stddev * np.where(heads, np.maximum(scipy.stats.norm.ppf(lower), 0), 0)

    for_it, against = radius(counts), radius(num - counts)
    expected = np.where(for_it > 0, 1, np.where(against > 0, 0, -1))
    assert {*expected.ravel()} == {-1, 0, 1}
    exact = np.maximum(for_it, against)
    importance, found_radius, frequency = (v.reshape(3, 30) for v in found)
    np.testing.assert_allclose(frequency[:2], counts / num, rtol=1e-6)
    np.testing.assert_array_equal(importance[:2], expected)
    assert (found_radius[:2] <= exact + 1e-6).all()
    assert (found_radius[:2] >= exact - 1.01 * STEP * stddev).all()
    assert (importance[2] == -1).all()
    assert np.isnan(found_radius[2]).all()


@pytest.mark.slow
def test_a_half_space_is_known_exactly_and_never_exceeded():
    """Of two pixels the brighter one is important: the other side is at (a - b) / √2."""
    gaps = jnp.array([0.0, 0.01, 0.1, 0.2, 0.3])
    images = (
        0.4 + gaps[:, None, None, None] * jnp.array([1.0, 0.0])[None, None, :, None]
    )
    found = ja.certified_pixels(
        lambda x: x[..., 0], images, key=KEY, stddev=0.1, num_samples=1000, fraction=0.5
    )
    exact = np.asarray(gaps)[:, None] / np.sqrt(2)
    radius = np.asarray(found.radius)[:, 0]
    assert (radius <= exact).all()
    # Within the confidence of 1000 draws, up to what they can prove at all.
    most = 0.1 * radii_of_counts(1000, 0.001 / 4)[-1]
    assert (radius[2:] > np.minimum(exact[2:] - 0.03, most - 1e-6)).all()
    np.testing.assert_array_equal(found.importance[2:, 0], [[1, 0]] * 3)
    np.testing.assert_array_equal(found.importance[0, 0], [-1, -1])
    np.testing.assert_allclose(found.frequency.sum((1, 2)), 1, rtol=1e-6)


PARAMS = toys.init_smooth(jax.random.key(3))
y = jnp.array([0, 1, 2])


def saliency(x):
    return ja.saliency(functools.partial(toys.smooth_logits, PARAMS), 3 * x, y)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_attacks_on_the_top_pixels_do_not_break_it(epsilon):
    """The strongest attack on the map itself, judged by the majority at its point."""
    x = toys.images()
    run = functools.partial(
        ja.certified_pixels, saliency, stddev=0.3, num_samples=600, fraction=0.2
    )
    found = run(x, key=KEY)
    # A step of ε / √D for every value is ε in all.
    step = epsilon / np.sqrt(x[0].size)
    points = ja.attack_explanation(
        saliency, x, k=6, epsilon=step, step_size=step / 4, num_steps=8
    )
    assert (points.distances <= epsilon * (1 + 1e-5)).all()
    frequency = np.asarray(run(points.images, key=jax.random.key(1)).frequency)
    sure = np.asarray(found.radius) > epsilon
    important = np.asarray(found.importance)
    assert sure.mean() > 0.2
    assert (frequency[sure & (important == 1)] > 0.5).all()
    assert (frequency[sure & (important == 0)] < 0.5).all()


@pytest.mark.slow
def test_an_image_alone_and_compiled_and_nan():
    x = toys.images()
    factors = jnp.array([1.0, jnp.nan, 2.0])[:, None, None, None]
    run = functools.partial(ja.certified_pixels, stddev=0.1, num_samples=40)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
    together = run(lambda x: x * factors, x, key=KEY)
    alone = jax.jit(lambda x, k: run(lambda x: x, x, key=k))(x[2:], keys[2:])
    np.testing.assert_array_equal(alone.importance[0], together.importance[2])
    np.testing.assert_allclose(alone.radius[0], together.radius[2], rtol=1e-6)
    assert (together.importance[1] == -1).all()
    assert np.isnan(together.radius[1]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_samples": 15},
            "num_samples: expected at least 16, .* of 30 pixels .*got 15",
        ),
        ({"stddev": 0}, "stddev: .*above 0"),
        ({"fraction": 0.0}, r"fraction: .*\(0, 1\]"),
        ({"fraction": 1.5}, "fraction: .*between 0 and 1"),
        ({"alpha": 0}, "alpha: .*between 0 and 1"),
        ({"key": None}, "key: .*needs a typed key"),
        ({"images": toys.images() * jnp.nan}, "images: expected finite"),
        ({"explain_fn": lambda x: x[:, :2]}, r"explain_fn: expected maps \(3, 6, 5\)"),
    ],
)
def test_bad_input(change, message):
    given = {
        "explain_fn": lambda x: x,
        "images": toys.images(),
        "key": KEY,
        "stddev": 0.1,
        "num_samples": 40,
    }
    with pytest.raises(ValueError, match=message):
        ja.certified_pixels(**(given | change))
