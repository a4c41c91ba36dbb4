import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr._numerics.apart import apart

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5)) * 1e3, jnp.float32)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_values_stay_to_the_bit(dtype):
    special = jnp.array([jnp.inf, -0.0, jnp.nan, 0, 1e-40])
    x = X.at[0, 0].set(special).astype(dtype)
    for found in (apart(x), jax.jit(apart)(x), jax.vmap(apart, 1, 1)(x)):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.astype(float), x.astype(float))


def test_it_is_linear_in_every_derivative():
    f = lambda x: jnp.sum(apart(x) ** 3)
    np.testing.assert_allclose(jax.grad(f)(X), 3 * X**2, rtol=1e-6)
    second = jax.jvp(jax.grad(f), (X,), (jnp.ones_like(X),))[1]
    np.testing.assert_allclose(second, 6 * X, rtol=1e-6)
    # Apart on the way back, too.
    assert str(jax.make_jaxpr(jax.grad(f))(X)).count("apart") == 2


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere nothing is left")
def test_on_cpu_it_is_in_the_compiled_program():
    program = jax.jit(lambda x: jnp.tanh(apart(jnp.sin(x)))).lower(X).compile()
    assert "reduce-precision(" in program.as_text()
