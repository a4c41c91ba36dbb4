"""Activations against their definitions, and the smooth twin of a ReLU network."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo

import jaxattr as ja
from jaxattr.models.activations import gelu, hard_sigmoid, hard_swish, relu6

X = np.linspace(-8, 12, 81)


@pytest.mark.parametrize("beta", [1.0, 20.0])
@pytest.mark.parametrize("cap", [np.inf, 6.0])
def test_smooth_relu_is_its_equation(beta, cap):
    expected = np.logaddexp(0, beta * X) / beta
    if cap < np.inf:
        expected = expected - np.logaddexp(0, beta * (X - cap)) / beta
    smooth = ja.models.SmoothRelu(beta, cap)(jnp.asarray(X, jnp.float32))
    np.testing.assert_allclose(smooth, expected, atol=1e-5)
    # Never farther from the ReLU than at its corners.
    assert np.abs(smooth - np.clip(X, 0, cap)).max() <= np.log(2) / beta + 1e-5


def test_smooth_relu_takes_a_schedule_and_keeps_the_dtype():
    value, slope = jax.jit(
        lambda beta: jax.value_and_grad(ja.models.SmoothRelu(beta))(jnp.float32(0))
    )(5.0)
    np.testing.assert_allclose(value, np.log(2) / 5, rtol=1e-6)
    assert slope == 0.5
    assert ja.models.SmoothRelu(5.0)(jnp.ones(2, jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("name", "value"), [("beta", 0.0), ("beta", -1.0), ("cap", 0.0)]
)
def test_smooth_relu_refuses_what_is_not_above_zero(name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected a number"):
        ja.models.SmoothRelu(**{"beta": 1.0, name: value})


@pytest.mark.parametrize(
    ("cap", "relu"), [(math.inf, jax.nn.relu), (6.0, relu6)], ids=["relu", "relu6"]
)
def test_packed_relu_has_the_values_and_derivatives_of_the_relu(cap, relu):
    packed = ja.models.PackedRelu(cap)
    x = jnp.asarray([[-1.0, 0.0, 3.0, 6.0, 9.0, 5.0, -jnp.inf, 1e-30]])
    weights = jnp.arange(1.0, 9.0)[None]
    for function in (
        lambda f: f(x),
        lambda f: jax.grad(lambda x: jnp.sum(weights * f(x)))(x),
        lambda f: jax.jvp(f, (x,), (weights,))[1],
        lambda f: jax.vmap(jax.grad(lambda x: f(x) * x))(x[0]),
        lambda f: jax.jacfwd(jax.grad(lambda x: jnp.sum(weights * f(x) ** 2)))(x),
    ):
        got, expected = jax.jit(lambda f=function: (f(packed), f(relu)))()
        np.testing.assert_array_equal(got, expected)
    assert packed(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16
    assert bool(jnp.isnan(packed(jnp.nan)))


def test_packed_relu_takes_less_memory_for_a_gradient():
    """Of a chain of layers: every argument is four bytes, every bit an eighth of one."""

    def memory(activation):
        def chain(x):
            for _ in range(8):
                x = activation(x @ weights)
            return jnp.sum(x)

        program = jax.jit(jax.grad(chain)).lower(jnp.ones((512, 256))).compile()
        return program.memory_analysis().temp_size_in_bytes

    weights = jnp.ones((256, 256)) / 16
    assert memory(ja.models.PackedRelu()) < memory(jax.nn.relu) / 2


@pytest.mark.parametrize("cap", [0.0, -1.0, "6"])
def test_packed_relu_refuses_a_cap_that_is_not_above_zero(cap):
    with pytest.raises(ValueError, match="^cap: expected a number"):
        ja.models.PackedRelu(cap)


@pytest.mark.slow
def test_a_smooth_twin_has_the_weights_and_curvature():
    """The model that the documentation advises for attacks on explanations."""
    with small_zoo.in_catalog():
        model = small_zoo.load("small_resnet")
        twin = small_zoo.load("small_resnet", activation=ja.models.SmoothRelu(5.0))
        assert jax.tree.all(jax.tree.map(jnp.array_equal, model.params, twin.params))
        images = jnp.full((1, small_zoo.SIZE, small_zoo.SIZE, 3), 0.5)

        @jax.jit
        def curvature(model, images):
            def slope(images):
                return jax.grad(lambda x: model(x)[0, 0])(images)

            return jax.jvp(slope, (images,), (jnp.ones_like(images),))[1]

        assert not curvature(model, images).any()
        assert curvature(twin, images).any()


def test_relu6_and_gelu_are_those_of_torch():
    x = jnp.asarray(X, jnp.float32)
    np.testing.assert_array_equal(relu6(x), np.clip(x, 0, 6))
    slopes = jax.vmap(jax.grad(relu6))(x)
    np.testing.assert_array_equal(slopes, (X > 0) & (X < 6))
    assert np.isnan(relu6(jnp.float32(np.nan)))
    exact = 0.5 * X * (1 + np.vectorize(math.erf)(X / np.sqrt(2)))
    np.testing.assert_allclose(gelu(x), exact, atol=2e-6)
    # X has no more digits than bfloat16: what is left is the rounding of the result.
    half = gelu(x.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(float), exact, rtol=2**-8, atol=2e-6)


def test_hard_swish_and_hard_sigmoid_are_those_of_torch():
    """Their corners are among the points: torch's slopes there are those of the outside."""
    x = jnp.asarray(X, jnp.float32)
    assert {-3.0, 3.0} <= set(X)
    gate = np.clip(X + 3, 0, 6) / 6
    np.testing.assert_allclose(hard_sigmoid(x), gate, atol=1e-6)
    np.testing.assert_allclose(hard_swish(x), X * gate, atol=1e-6)
    inside = (X > -3) & (X < 3)
    np.testing.assert_allclose(jax.vmap(jax.grad(hard_sigmoid))(x), inside / 6)
    slopes = np.where(inside, (2 * X + 3) / 6, X >= 3)
    np.testing.assert_allclose(jax.vmap(jax.grad(hard_swish))(x), slopes, atol=1e-6)
    assert hard_swish(jnp.bfloat16(1)).dtype == jnp.bfloat16
    assert np.isnan(hard_swish(jnp.float32(np.nan)))
