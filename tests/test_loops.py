import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

from jaxattr import _loops


@pytest.mark.parametrize("per_call", quick([1, 2, 3, 7, 100], 1, 3, 100))
@pytest.mark.parametrize("num_terms", [1, 7])
def test_sum_mean_and_stack_visit_every_term_once(num_terms, per_call):
    table = jnp.arange(1.0, num_terms + 1)[:, None] ** 2 * jnp.ones((1, 3))
    calls = []

    def terms(index):
        calls.append(len(index))
        return table[index]

    total = _loops.sum_over(terms, num_terms, per_call)
    np.testing.assert_allclose(total, table.sum(0))
    np.testing.assert_allclose(
        _loops.mean_over(terms, num_terms, per_call), table.mean(0)
    )
    np.testing.assert_array_equal(_loops.stack_over(terms, num_terms, per_call), table)
    assert max(calls) <= per_call


def test_sum_over_is_not_spoiled_by_what_fills_the_last_call():
    """Seven terms in calls of three: two places too many, whatever they hold."""
    terms = lambda i: jnp.where(i == 6, jnp.inf, i.astype(float))[:, None]
    assert np.isposinf(_loops.sum_over(terms, 7, 3)).all()
    assert _loops.sum_over(terms, 6, 4) == 15.0


def test_sum_over_adds_bfloat16_gradients_wide():
    """1 + 2⁻⁹ has no bfloat16: widened terms keep it."""
    terms = lambda i: jnp.full((len(i), 1), 2.0**-9, jnp.float32)
    assert _loops.sum_over(terms, 512 + 1) == 1.0 + 2.0**-9


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 5, 12])
def test_image_batches(batch_size):
    x = jnp.arange(5.0)[:, None]
    seen = []

    def compute(per_call, x, missing, keys):
        assert missing is None
        seen.append((per_call, x.shape[0]))
        return x * 2, jax.random.key_data(keys)

    keys = jax.random.split(jax.random.key(0), 5)
    doubled, data = _loops.by_image_batches(compute, batch_size, x, None, keys)
    np.testing.assert_array_equal(doubled, 2 * x)
    np.testing.assert_array_equal(data, jax.random.key_data(keys))
    rows = 5 if batch_size is None else batch_size
    assert all(per_call * n <= max(rows, n) for per_call, n in seen)
    assert seen[0] == ((rows // 5, 5) if rows >= 5 else (1, rows))


def test_chunked_sum_keeps_memory_flat_in_the_number_of_terms():
    """Temporary memory of the compiled program, as the compiler reports it."""

    def temporary(num_terms):
        def run(x):
            return _loops.sum_over(
                lambda i: jnp.sin(x[None] * i[:, None, None].astype(float)),
                num_terms,
                2,
            )

        compiled = jax.jit(run).lower(jnp.ones((256, 256))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(1000) <= 1.1 * temporary(10)


def test_images_are_split_within_shard_map_too():
    """Two images on each of four devices, one at a time."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.PartitionSpec("data")
    double = lambda _, x: 2 * x

    @jax.jit
    def spread(x):
        each = lambda x: _loops.by_image_batches(double, 1, x)
        return jax.shard_map(each, mesh=mesh, in_specs=rows, out_specs=rows)(x)

    np.testing.assert_array_equal(spread(jnp.arange(8.0)), 2 * jnp.arange(8.0))
