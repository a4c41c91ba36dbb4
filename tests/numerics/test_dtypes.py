"""Half precision is widened before it is summed, and float64 stays float64."""

import jax.numpy as jnp
import pytest
import toys

from jaxattr._numerics.dtypes import accumulator, widen


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_narrow_types_are_accumulated_in_float32(dtype):
    assert accumulator(dtype) == jnp.float32
    assert widen(jnp.ones(2, dtype)).dtype == jnp.float32


def test_float64_stays():
    with toys.float64():
        assert accumulator(jnp.float64) == jnp.float64
        assert widen(jnp.ones(2, jnp.float64)).dtype == jnp.float64
