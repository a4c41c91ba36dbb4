import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from jaxattr._numerics import rankings


def test_descending_ranks_keep_the_order_of_ties_and_put_nan_last():
    values = jnp.array([[2.0, 3.0, 2.0, jnp.nan, -1.0, 3.0]])
    np.testing.assert_array_equal(
        rankings.descending_ranks(values), [[2, 0, 3, 5, 4, 1]]
    )


@pytest.mark.parametrize("k", [0, 3, 57, 99])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_kth_smallest_is_that_of_a_sort(k, dtype):
    with toys.float64():
        values = jax.random.exponential(jax.random.key(0), (3, 100), dtype)
        values = values.at[:, 5:20].set(0).at[:, 90:].set(jnp.inf)
        expected = np.sort(values, axis=-1)[:, k]
        np.testing.assert_array_equal(rankings.kth_smallest(values, k), expected)
