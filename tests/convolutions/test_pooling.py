"""Pooling against loops over windows: values, ties, edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import adaptive_mean, global_mean, mean_pool

CASES = [
    # window, stride, padding, ceil_mode, pad on each side
    (2, 2, "valid", False, 0),
    (3, 2, "symmetric", False, 1),
    (3, 2, "valid", True, 0),
    (3, 1, "symmetric", False, 1),
    (5, 2, "symmetric", False, 2),
    (5, 3, "valid", True, 0),
    (2, 3, "valid", False, 0),
]


def draw(h=7, w=6, seed=0):
    return np.random.default_rng(seed).normal(size=(2, h, w, 3)).astype(np.float32)


def windows(x, window, stride, pad, ceil_mode):
    """For every output (i, j) the rows and columns of the image in its window."""
    spans = []
    for n in x.shape[1:3]:
        count = (n + 2 * pad - window) / stride
        count = int(np.ceil(count) if ceil_mode else np.floor(count)) + 1
        starts = [i * stride - pad for i in range(count)]
        spans.append([range(max(s, 0), min(s + window, n)) for s in starts])
    return spans


@pytest.mark.parametrize("size", [(7, 6), (6, 9)])
@pytest.mark.parametrize(("window", "stride", "padding", "ceil_mode", "pad"), CASES)
def test_max_pool_and_its_gradient(window, stride, padding, ceil_mode, pad, size):
    """Rounded values, so that there are ties: torch's gradient goes to the first."""
    x = np.round(draw(*size) * 2) / 2
    rows, columns = windows(x, window, stride, pad, ceil_mode)
    expected = np.zeros((2, len(rows), len(columns), 3), np.float32)
    weights = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    gradient = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*expected.shape):
        places = [(r, s) for r in rows[i] for s in columns[j]]
        values = [x[n, r, s, c] for r, s in places]
        best = int(np.argmax(values))  # the first of equals
        expected[n, i, j, c] = values[best]
        gradient[(n, *places[best], c)] += weights[n, i, j, c]
    pool = lambda x: max_pool(x, window, stride, padding=padding, ceil_mode=ceil_mode)
    got, slope = jax.jit(lambda x, w: (pool(x), jax.vjp(pool, x)[1](w)[0]))(x, weights)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(slope, gradient, atol=1e-6)


def test_max_pool_under_vmap_and_twice_differentiated():
    x = jnp.asarray(draw())
    pool = lambda x: max_pool(x, 3, 2)
    lanes = jnp.stack([x, 2 * x, -x], 2)
    found = jax.jit(jax.vmap(pool, 2, 1))(lanes)
    expected = jnp.stack([pool(x), pool(2 * x), pool(-x)], 1)
    np.testing.assert_array_equal(found, expected)
    # The cube of what wins: 6 x where it does, once a window.
    cube = lambda x: jnp.sum(pool(x) ** 3)
    second = jax.jit(lambda v: jax.jvp(jax.grad(cube), (x,), (v,))[1])(jnp.ones_like(x))
    wins = jax.vjp(pool, x)[1](jnp.ones_like(pool(x)))[0]
    np.testing.assert_allclose(second, 6 * x * wins, rtol=1e-5, atol=1e-6)


def test_derivatives_of_max_pool_are_those_of_the_pixels_that_win():
    """Forwards, backwards and by lanes of tangents and of cotangents."""
    x = jnp.asarray(draw(5, 4))[:1, ..., :1]
    pool = lambda x: max_pool(x, 3, 2, padding="symmetric")
    forward, backward = jax.jacfwd(pool)(x), jax.jacrev(pool)(x)
    np.testing.assert_array_equal(forward, backward)
    np.testing.assert_array_equal(forward.sum((4, 5, 6, 7)), jnp.ones(pool(x).shape))
    np.testing.assert_array_equal(
        jnp.tensordot(forward, x, x.ndim), pool(x), strict=True
    )


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_max_pool_of_images_on_several_devices(axis_type):
    x = jnp.asarray(draw(9, 8))
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x, 3, 2, padding="symmetric") ** 2))
    mesh = jax.make_mesh((2,), ("images",), axis_types=(axis_type,))
    over = NamedSharding(mesh, P("images"))
    with jax.set_mesh(mesh):
        found = jax.jit(gradient)(jax.device_put(x, over))
    assert found.sharding.is_equivalent_to(over, x.ndim)
    np.testing.assert_array_equal(found, gradient(x))


def test_max_pool_of_windows_with_more_places_than_a_byte_counts():
    x = jnp.asarray(draw(13, 13))
    slope = jax.grad(lambda x: jnp.sum(max_pool(x, 12, 1)))(x)
    expected = np.zeros_like(x)
    for n, i, j, c in np.ndindex(2, 2, 2, 3):
        seen = x[n, i : i + 12, j : j + 12, c]
        row, column = np.unravel_index(np.argmax(seen), seen.shape)
        expected[n, i + row, j + column, c] += 1
    np.testing.assert_array_equal(slope, expected)


def test_max_pool_keeps_nan():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 0, 1], x[0, 3, 3] = np.nan, np.nan
    np.testing.assert_array_equal(
        max_pool(x, 2, 2)[0, :, :, 0], [[np.nan, 0], [0, np.nan]]
    )


def test_mean_pool_counts_the_border():
    x = draw()
    for window, stride in ((3, 1), (3, 2)):
        rows, columns = windows(x, window, stride, 1, False)
        expected = [
            [x[:, r][:, :, s].sum((1, 2)) / window**2 for s in columns] for r in rows
        ]
        got = mean_pool(x, window, stride)
        np.testing.assert_allclose(
            got, np.moveaxis(expected, 2, 0), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("size", [(2, 3), (7, 7), (9, 16)])
def test_adaptive_mean(size):
    x = draw(*size)
    spans = [[range(i * n // 7, -(-(i + 1) * n // 7)) for i in range(7)] for n in size]
    expected = [[x[:, r][:, :, s].mean((1, 2)) for s in spans[1]] for r in spans[0]]
    got = adaptive_mean(jnp.asarray(x), 7)
    np.testing.assert_allclose(got, np.moveaxis(expected, 2, 0), rtol=1e-5, atol=1e-6)


def test_half_precision():
    x = jnp.asarray(draw(), jnp.bfloat16)
    assert max_pool(x, 2, 2).dtype == mean_pool(x, 3, 1).dtype == jnp.bfloat16
    assert adaptive_mean(x, 7).dtype == jnp.bfloat16
    assert global_mean(x).dtype == jnp.float32
