import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from quick import quick

from jaxattr import steps


def apply(rule, updates):
    return rule.update(updates, rule.init(updates))[0]


def test_kernel_is_the_released_one():
    expected = [0.00443305, 0.05400558, 0.24203623, 0.39905028]
    kernel = steps.gaussian_kernel(7)
    np.testing.assert_allclose(kernel, expected + expected[2::-1], atol=1e-8)
    outer = np.outer(kernel, kernel)
    np.testing.assert_allclose(outer[3, 3], 0.1592411, atol=1e-7)
    np.testing.assert_allclose(outer[0, 0], 1.96519e-5, atol=1e-10)


@pytest.mark.parametrize("size", quick([3, 7, 15], 7))
def test_smooth_is_the_convolution_of_each_channel(size):
    images = np.asarray(toys.images(2, 9, 8, 2), np.float64)
    kernel = np.outer(steps.gaussian_kernel(size), steps.gaussian_kernel(size))
    half = size // 2
    padded = np.pad(images, [(0, 0), (half, half), (half, half), (0, 0)])
    expected = np.zeros_like(images)
    for i in range(9):
        for j in range(8):
            window = padded[:, i : i + size, j : j + size]
            expected[:, i, j] = np.einsum("nhwc,hw->nc", window, kernel)
    actual = apply(steps.smooth(size), jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("size", [0, 1])
def test_smooth_of_no_size_is_the_identity(size):
    np.testing.assert_array_equal(
        apply(steps.smooth(size), toys.images()), toys.images()
    )


def test_smooth_refuses_an_even_size():
    with pytest.raises(ValueError, match="smoothing_size: expected an odd.*got 4"):
        steps.smooth(4)


def test_normalize_l1_makes_the_mean_size_one_image_by_image():
    gradient = toys.images() * jnp.array([1e-12, 1.0, 1e6]).reshape(3, 1, 1, 1)
    normalised = apply(steps.normalize_l1(), gradient)
    np.testing.assert_allclose(np.abs(normalised).mean((1, 2, 3)), 1.0, rtol=1e-5)


def test_normalize_l1_of_a_vanished_gradient_is_zero_and_so_is_its_derivative():
    rule = steps.normalize_l1()
    zero = jnp.zeros((1, 2, 2, 1))
    np.testing.assert_array_equal(apply(rule, zero), 0)
    slope = jax.grad(lambda g: jnp.sum(apply(rule, g)))(zero)
    np.testing.assert_array_equal(slope, 0)


def test_momentum_chain():
    """m ← μ m + g / mean|g|, twice."""
    rule = optax.chain(steps.normalize_l1(), optax.trace(0.5))
    g = jnp.array([1.0, -3.0]).reshape(1, 1, 2, 1)
    state = rule.init(g)
    first, state = rule.update(g, state)
    second, _ = rule.update(g, state)
    np.testing.assert_allclose(first.ravel(), [0.5, -1.5])
    np.testing.assert_allclose(second.ravel(), [0.75, -2.25])


def test_sign_step():
    d = jnp.array([2.0, -0.1, 0.0]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(
        apply(steps.sign_step(-0.25), d).ravel(), [-0.25, 0.25, 0]
    )


def test_relevance_golden_case():
    """g = (1, 0), ḡ = (1, 1): s = 0.70711, c = (1, 0.29289)."""
    g = jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)
    mean = jnp.array([1.0, 1.0]).reshape(1, 1, 2, 1)
    rule = steps.weigh_by_relevance()
    combined, _ = rule.update((g, mean), rule.init(g))
    np.testing.assert_allclose(combined.ravel(), [1.0, 0.29289], atol=1e-5)


def test_steps_shrink_where_the_sign_turns_and_the_first_is_whole():
    rule = steps.decaying_sign_step(0.5, 0.9)
    d = jnp.array([1.0, -2.0]).reshape(1, 1, 2, 1)
    first, state = rule.update(d, rule.init(d))
    np.testing.assert_allclose(first.ravel(), [0.5, -0.5], rtol=1e-6)
    second, _ = rule.update(d * jnp.array([1.0, -1.0]).reshape(1, 1, 2, 1), state)
    np.testing.assert_allclose(second.ravel(), [0.5, 0.45], rtol=1e-6)
