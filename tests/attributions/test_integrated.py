import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr._numerics import quadrature

KEY = jax.random.key(0)
ZERO = jnp.array([0])


def pixels(*values):
    return jnp.array(values).reshape(1, 1, 1, -1)


def scalar(function):
    """A model of one logit from a function of the two values of a pixel."""
    return lambda x: jnp.pad(
        function(x[:, 0, 0, 0], x[:, 0, 0, 1])[:, None], [(0, 0), (0, 1)]
    )


@pytest.mark.parametrize("rule", quick(quadrature.RULES, "trapezoid", "gauss-legendre"))
def test_linear_is_exact_with_any_rule_and_baseline(rule):
    logits_fn, weights = toys.linear()
    images, labels = toys.images(), toys.labels()
    label_weights = np.moveaxis(np.asarray(weights)[..., labels], -1, 0)
    for baseline in (0.25, images[0] * 0.5, images[:, ::-1]):
        actual = ja.integrated_gradients(
            logits_fn, images, labels, num_steps=2, rule=rule, baseline=baseline
        )
        expected = (np.asarray(images) - np.asarray(baseline)) * label_weights
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_product():
    """x y from (0, 0): half of the product each."""
    maps = ja.integrated_gradients(scalar(lambda a, b: a * b), pixels(1.0, 2.0), ZERO)
    np.testing.assert_allclose(maps.ravel(), [1.0, 1.0], rtol=1e-6)


def test_product_of_a_square():
    """a b² at (1, 2): ∫ (αb)² a dα = 4/3 and ∫ 2 αa αb b dα = 8/3."""
    maps = ja.integrated_gradients(
        scalar(lambda a, b: a * b**2), pixels(1.0, 2.0), ZERO, rule="gauss-legendre"
    )
    np.testing.assert_allclose(maps.ravel(), [4 / 3, 8 / 3], rtol=1e-5)


def test_gradient_of_the_sum_of_ig_is_the_gradient_of_the_score():
    """Completeness: Σ IG = f(x) - f(0), so its gradient is (b², 2ab) = (4, 4)."""
    total = lambda x: jnp.sum(
        ja.integrated_gradients(
            scalar(lambda a, b: a * b**2), x, ZERO, rule="gauss-legendre"
        )
    )
    gradient = jax.grad(total)(pixels(1.0, 2.0))
    np.testing.assert_allclose(gradient.ravel(), [4.0, 4.0], rtol=1e-5)


def test_relu_network_by_hand():
    """relu(a - 1) + b from 0 to (2, 1): the first unit is open on half the line."""
    network = scalar(lambda a, b: jax.nn.relu(a - 1) + b)
    maps = ja.integrated_gradients(network, pixels(2.0, 1.0), ZERO, num_steps=64)
    np.testing.assert_allclose(maps.ravel(), [1.0, 1.0], rtol=1e-6)
    mean = ja.integrated_gradients(
        network, pixels(2.0, 1.0), ZERO, num_steps=64, multiply_by_delta=False
    )
    np.testing.assert_allclose(mean.ravel(), [0.5, 1.0], rtol=1e-6)


def test_implementation_invariance():
    """Two networks that compute the same function have the same map."""
    one = scalar(lambda a, b: jax.nn.relu(a) + jax.nn.relu(-a) + b)
    two = scalar(lambda a, b: jnp.abs(a) + 2 * b - b)
    maps = [
        ja.integrated_gradients(net, pixels(1.5, -0.5), ZERO, baseline=-0.25)
        for net in (one, two)
    ]
    np.testing.assert_allclose(*maps, rtol=1e-6)


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        pytest.param("left", 1, marks=pytest.mark.slow),
        pytest.param("right", 1, marks=pytest.mark.slow),
        ("midpoint", 2),
        pytest.param("trapezoid", 2, marks=pytest.mark.slow),
    ],
)
def test_completeness_at_the_rule_s_order_of_convergence(rule, order):
    errors = [completeness_error(rule, num_steps) for num_steps in (17, 33, 65)]
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(slopes, order, atol=0.15)


def test_completeness_of_gauss_legendre_is_spectral():
    assert completeness_error("gauss-legendre", 8) < 1e-4 * completeness_error(
        "left", 8
    )
    assert completeness_error("gauss-legendre", 24) < 1e-12


@functools.cache
def completeness_error(rule, num_steps):
    with toys.float64():
        params = jax.tree.map(
            lambda p: p.astype(jnp.float64), toys.init_smooth(jax.random.key(5))
        )
        logits_fn = functools.partial(toys.smooth_logits, params)
        images, labels = toys.images(dtype=jnp.float64), toys.labels()
        explain = functools.partial(
            ja.integrated_gradients, num_steps=num_steps, rule=rule, batch_size=300
        )
        maps = jax.jit(lambda x: explain(logits_fn, x, labels))(images)
        score = ja.scores.logit(logits_fn, labels)
        residual = jnp.sum(maps, (1, 2, 3)) - (score(images) - score(0 * images))
        return float(jnp.abs(residual).max())


def test_memory_does_not_grow_with_the_number_of_steps():
    params = toys.init_smooth(KEY, 32, 32)

    def temporary(num_steps):
        run = lambda x, y: ja.integrated_gradients(
            functools.partial(toys.smooth_logits, params), x, y, num_steps=num_steps
        )
        lowered = jax.jit(run).lower(toys.images(4, 32, 32), toys.labels(4))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporary(500) <= 1.1 * temporary(20)


def test_expected_gradients_of_a_linear_model_is_exact_for_one_reference():
    logits_fn, weights = toys.linear()
    images, labels = toys.images(), toys.labels()
    maps = ja.expected_gradients(
        logits_fn, images, labels, key=KEY, references=images[:1], num_samples=3
    )
    label_weights = np.moveaxis(np.asarray(weights)[..., labels], -1, 0)
    expected = (images - images[:1]) * label_weights
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_expected_gradients_is_ig_averaged_over_references():
    """Within Monte-Carlo error, which is estimated from the spread over keys."""
    params = toys.init_smooth(KEY)
    logits_fn = functools.partial(toys.smooth_logits, params)
    images, labels = toys.images(1), toys.labels(1)
    references = toys.images(4)[1:]
    expected = np.mean(
        [
            ja.integrated_gradients(logits_fn, images, labels, baseline=reference)
            for reference in references
        ],
        axis=0,
    )
    run = jax.jit(
        lambda key: ja.expected_gradients(
            logits_fn,
            images,
            labels,
            key=key,
            references=references,
            num_samples=64,
            batch_size=64,
        )
    )
    draws = np.stack([run(key) for key in jax.random.split(KEY, 40)])
    z = (draws.mean(0) - expected) / (draws.std(0, ddof=1) / np.sqrt(len(draws)))
    assert np.abs(z).max() < 5
    assert np.abs(z).mean() < 1.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps: expected an integer of at least 1, got 0"),
        ({"rule": "simpson"}, "rule: unknown 'simpson'; .*known: gauss-legendre, left"),
        (
            {"baseline": jnp.zeros((5, 6, 3))},
            r"baseline: expected a number, \(6, 5, 3\)",
        ),
    ],
)
def test_integrated_gradients_misuse(options, message):
    logits_fn, _ = toys.linear()
    with pytest.raises(ValueError, match=message):
        ja.integrated_gradients(logits_fn, toys.images(), toys.labels(), **options)


def test_expected_gradients_misuse():
    logits_fn, _ = toys.linear()
    run = functools.partial(
        ja.expected_gradients, logits_fn, toys.images(), toys.labels(), key=KEY
    )
    with pytest.raises(ValueError, match=r"references: expected \(R,\) \+ \(6, 5, 3\)"):
        run(references=jnp.zeros((2, 5, 6, 3)))
    with pytest.raises(ValueError, match=r"references: expected .*\(R, H, W, C\)"):
        run(references=jnp.zeros((6, 5, 3)))
