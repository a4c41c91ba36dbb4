"""What a kind of function has in common, held by drawn examples.

Numbers of the maps' own size do not matter where a measure has no unit, and a measure
with a unit follows it: at any power of ten that the type holds.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from quick import quick

import jaxattr as ja
from jaxattr import projections, steps
from jaxattr._numerics import norms
from jaxattr.boundaries.apgd import difference_of_logits_ratio
from jaxattr.frequencies.weighted_copies import energy_cutoff

scales = st.integers(-30, 30).map(lambda exponent: 10.0**exponent)
at_the_edges = lambda test: example(1e-30)(example(1e30)(test))
KEY = jax.random.key(0)
x, y = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 3)).astype(np.float32)
boxes = jnp.array([[0, 0, 2, 3], [1, 1, 4, 4], [0, 0, 4, 1]])
linear = lambda images: jnp.stack(
    [jnp.sum(images * x[0][None], (1, 2, 3)), jnp.sum(images * y[0][None], (1, 2, 3))],
    1,
)

UNITLESS = {
    "cosine": lambda a, b: ja.alignment(a, b).cosine,
    "relative distance": lambda a, b: ja.alignment(a, b).relative_l2,
    "spearman": lambda a, b: ja.spearman(a.sum(-1), b.sum(-1)),
    "kendall": lambda a, b: ja.kendall(a.sum(-1), b.sum(-1)),
    "top k": lambda a, b: ja.top_k_intersection(a.sum(-1), b.sum(-1), k=5),
    "lens": lambda a, b: ja.lens_recall(a.sum(-1), b.sum(-1), k=5, window=1),
    "lens spearman": lambda a, b: ja.lens_spearman(a.sum(-1), b.sum(-1), window=1),
    "lens kendall": lambda a, b: ja.lens_kendall(a.sum(-1), b.sum(-1), window=1),
    "diverse": lambda a, b: ja.lens_recall_diverse(a.sum(-1), b.sum(-1), k=3, window=1),
    "localization": lambda a, b: jnp.stack(ja.localization(a.sum(-1), boxes)),
    "deletion": lambda a, b: ja.deletion_curve(
        linear, x, a, labels=jnp.array([0, 1, 0]), num_steps=4
    ),
    "infidelity": lambda a, b: ja.infidelity(
        linear, x, a, jnp.array([1, 0, 1]), key=KEY, num_samples=4, normalize=True
    ),
    "fidelity of sets": lambda a, b: ja.mu_fidelity(
        *(linear, x, a),
        labels=jnp.array([1, 0, 1]),
        key=KEY,
        num_samples=6,
        correlation="pearson",
    ),
    "pointing game": lambda a, b: ja.pointing_game(a.sum(-1), boxes),
    "sparseness": lambda a, b: ja.sparseness(a.sum(-1)),
    "complexity": lambda a, b: ja.complexity(a.sum(-1)),
    "structure": lambda a, b: ja.ssim(a.sum(-1), b.sum(-1), window=1),
    "direction": lambda a, b: steps.unit(a),
    "mean size": lambda a, b: steps.over_mean_size(a),
    "cosine of steps": lambda a, b: steps.cosine(a, b),
    "distribution": lambda a, b: ja.spectral_distribution(a.sum((1, 2))),
    "energy": lambda a, b: energy_cutoff(a, energy=0.5),
    "signal to noise": lambda a, b: ja.spectral_snr(a, a + b),
}


# Those that take longest, of which each has a like that does not.
DEAR = ("fidelity of sets", "kendall", "infidelity", "lens kendall", "lens spearman",
        "diverse", "signal to noise")  # fmt: skip


@pytest.mark.parametrize("name", quick(UNITLESS, *({*UNITLESS} - {*DEAR})))
def test_a_measure_without_unit_is_the_same_at_any_scale(name):
    measure = jax.jit(UNITLESS[name])
    expected = measure(x, y)
    assert np.isfinite(expected).all()
    assert np.any(expected != 0)

    @at_the_edges
    @given(scales)
    def check(scale):
        scale = np.float32(scale)
        found = measure(x * scale, y * scale)
        # What is 0 but for rounding (an exact map's infidelity) has no digits.
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    check()


norm = jax.jit(lambda v: norms.norm(v, (1, 2, 3)))
slope_of_norm = jax.jit(jax.grad(lambda v: jnp.sum(norm(v))))
into_ball = jax.jit(lambda v, radius: projections.l2_ball(v, jnp.zeros_like(v), radius))
distance_to_double = jax.jit(lambda v: ja.alignment(v, 2 * v).l2)


@at_the_edges
@given(scales)
def test_norms_are_those_of_numpy(scale):
    values = (x.astype(np.float64) * scale).astype(np.float32)
    expected = np.linalg.norm(values.astype(np.float64).reshape(3, -1), axis=1)
    np.testing.assert_allclose(norm(values), expected, rtol=1e-6)
    # The slope of a length is the direction, whatever the scale.
    slope = slope_of_norm(values)
    direction = values.astype(np.float64) / expected[:, None, None, None]
    np.testing.assert_allclose(slope, direction, rtol=1e-5, atol=1e-7)
    size = np.float32(scale)
    np.testing.assert_allclose(into_ball(values, size), direction * size, rtol=1e-5)
    np.testing.assert_allclose(distance_to_double(values), expected, rtol=1e-5)


def test_a_norm_at_zero_and_at_values_that_are_no_numbers():
    slope = jax.grad(lambda v: jnp.sum(norms.norm(v, (1, 2, 3))))(
        jnp.zeros((1, 2, 2, 1))
    )
    np.testing.assert_array_equal(slope, 0)
    broken = jnp.array([jnp.nan, 1.0, 2.0, 3.0]).reshape(1, 2, 2, 1)
    for f in (steps.unit, steps.over_mean_size, lambda v: norms.norm(v, (1, 2, 3))):
        assert np.isnan(f(broken)).all()
    assert np.isposinf(norms.norm(jnp.array([jnp.inf, 1.0]), 0))


@jax.jit
def _of_a_linear_map(scale):
    return tuple(
        measure(lambda v: scale * v, x, key=KEY, radius=0.1, num_samples=2)
        for measure in (ja.max_sensitivity, ja.local_lipschitz)
    )


@at_the_edges
@given(scales)
def test_sensitivity_has_no_unit_and_the_lipschitz_bound_that_of_the_map(scale):
    scale = np.float32(scale)
    sensitivity, lipschitz = _of_a_linear_map(scale)
    # A(x) = s x: the map moves as much as the image does.
    drawn = [
        np.array(
            [
                jax.random.uniform(
                    jax.random.fold_in(jax.random.fold_in(KEY, i), s),
                    x.shape[1:],
                    minval=-1.0,
                )
                for i in range(3)
            ],
            np.float64,
        )
        for s in range(2)
    ]
    length = lambda v: np.linalg.norm(v.reshape(3, -1), axis=1)
    expected = np.max([0.1 * length(d) / length(x.astype(float)) for d in drawn], 0)
    np.testing.assert_allclose(sensitivity, expected, rtol=1e-4)
    np.testing.assert_allclose(lipschitz / scale, 1, rtol=1e-4)


def test_sizes_of_pixels_are_summed_in_float32():
    maps = jnp.full((1, 1, 1, 3), 40000, jnp.float16)
    assert float(ja.pixel_magnitudes(maps).squeeze()) == 120000


@functools.partial(jax.jit, static_argnums=1)
def _distance_to_a_plane(scale, member):
    weights = np.array([3.0, 4.0], np.float32)
    image = jnp.array([0.5, 0.4]).reshape(1, 1, 1, 2)

    def model(images):
        gap = jnp.sum((images.reshape(-1, 2) - 0.3) * weights[None], 1)
        return scale * jnp.stack([gap, -gap], 1)

    search = ja.BoundarySearch([getattr(ja.boundaries, member)(num_steps=3)])
    found = lambda x: ja.nearest_boundary(model, x, jnp.array([0]), search=search)
    distance = lambda x: found(x).distances[0]
    return jax.value_and_grad(distance)(image)


@pytest.mark.parametrize("member", quick(["deepfool", "fab"], "fab"))
def test_the_boundary_does_not_depend_on_the_unit_of_the_logits(member):
    @at_the_edges
    @given(scales)
    def check(scale):
        distance, slope = _distance_to_a_plane(np.float32(scale), member)
        # 3 · 0.2 + 4 · 0.1 = 1 above the plane, whose normal is 5 long.
        assert math.isclose(distance, 0.2, rel_tol=1e-3)
        np.testing.assert_allclose(slope.ravel(), [0.6, 0.8], rtol=1e-3)

    check()


@jax.jit
def _from_a_point_on_the_boundary(scale):
    image = jnp.array([0.5, 0.25]).reshape(1, 1, 1, 2)
    # Of equal logits the first counts, so that the image is of class 0.
    model = lambda x: scale * jnp.stack([x[:, 0, 0, 0], 2 * x[:, 0, 0, 1]], 1)
    search = ja.BoundarySearch([ja.boundaries.deepfool(num_steps=1)], num_bisections=1)
    return ja.nearest_boundary(model, image, jnp.array([0]), search=search)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_deepfool_takes_a_step_from_a_point_on_the_boundary(scale):
    found = _from_a_point_on_the_boundary(np.float32(scale))
    assert found.found[0]
    assert 0 < found.distances[0] < 1e-6


@jax.jit
def _ratio_of_logits(logits):
    labels = jnp.array([0, 1, 2, 3])
    score = difference_of_logits_ratio(lambda z: z, labels)
    return score(logits), jax.grad(lambda z: jnp.sum(score(z)))(logits)


@at_the_edges
@given(scales)
def test_the_ratio_of_logits_has_no_unit(scale):
    logits = np.array([[3.0, 1.0, -2.0, 0.5]] * 4)
    # -(z_y - max_{k≠y} z_k) / (z₀ - z₃), and its derivative by the quotient rule.
    expected = np.array([-2.0, 2.0, 5.0, 2.5]) / 2.5
    of_margin = np.array([[-1, 1, 0, 0], [1, -1, 0, 0], [1, 0, -1, 0], [1, 0, 0, -1]])
    slopes = (of_margin - expected[:, None] * np.array([[1, 0, 0, -1]])) / 2.5
    values, found = _ratio_of_logits((logits * scale).astype(np.float32))
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(found * np.float32(scale), slopes, rtol=1e-5, atol=1e-7)
