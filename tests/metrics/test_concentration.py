"""Sparseness and complexity: closed forms, the equation, what must not change them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

MAPS = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
both = jax.jit(lambda maps: (ja.sparseness(maps), ja.complexity(maps)))


def test_equations():
    """The Gini index by all pairs of values, the entropy by its sum."""
    sparse, complex_ = both(MAPS)
    for i, values in enumerate(np.abs(MAPS.astype(np.float64)).reshape(3, -1)):
        pairs = np.abs(values[:, None] - values[None]).sum()
        gini = pairs / (2 * values.size * values.sum())
        shares = values / values.sum()
        np.testing.assert_allclose(sparse[i], gini, rtol=1e-5)
        np.testing.assert_allclose(
            complex_[i], -(shares * np.log(shares)).sum(), rtol=1e-5
        )


def test_flat_maps_single_pixels_zeros_and_nan():
    maps = np.zeros((4, 4, 5), np.float32)
    maps[0], maps[1, 2, 3], maps[3, 0, 0] = -2.0, 5.0, np.nan
    sparse, complex_ = both(maps)
    np.testing.assert_allclose(sparse[:2], [0, 1 - 1 / 20], atol=1e-6)
    np.testing.assert_allclose(complex_[:2], [np.log(20), 0], atol=1e-6)
    assert np.isnan([sparse[2:], complex_[2:]]).all()


@pytest.mark.parametrize("factor", [1e-30, -1.0, 1e30])
def test_neither_sign_nor_scale_nor_order_matter(factor):
    other = MAPS[:, ::-1] * np.float32(factor)
    np.testing.assert_allclose(both(other), both(MAPS), rtol=1e-5)


@pytest.mark.slow
def test_types():
    with toys.float64():
        assert ja.complexity(jnp.asarray(MAPS, jnp.float64)).dtype == jnp.float64
    assert ja.sparseness(MAPS.astype(np.float16)).dtype == jnp.float32
    for measure in (ja.sparseness, ja.complexity):
        with pytest.raises(ValueError, match=r"maps: expected .*\(N, H, W\)"):
            measure(MAPS[..., None])
