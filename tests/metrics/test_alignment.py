"""Alignment of two attributions: by hand, against numpy, and where one vanishes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxattr as ja

alignment = jax.jit(ja.alignment)


def test_against_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 5, 4, 3)).astype(np.float32)
    found = ja.alignment(jnp.asarray(a), jnp.asarray(b))
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        apart, sizes = np.linalg.norm(x - y), np.linalg.norm(x) * np.linalg.norm(y)
        rank = stats.spearmanr(x.sum(-1).ravel(), y.sum(-1).ravel()).statistic
        expected = [apart, apart / np.sqrt(sizes), (x * y).sum() / sizes, rank]
        np.testing.assert_allclose([v[i] for v in found], expected, rtol=1e-4)


def test_size_is_seen_by_the_raw_distance_alone():
    a = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 3, 1)), jnp.float32)
    small, large = alignment(a, -2 * a), alignment(100 * a, -200 * a)
    np.testing.assert_allclose(large.l2, 100 * small.l2, rtol=1e-5)
    for name in ("relative_l2", "cosine", "spearman"):
        np.testing.assert_allclose(
            getattr(large, name), getattr(small, name), rtol=1e-5
        )
    np.testing.assert_allclose(small.cosine, -1, rtol=1e-5)


def test_one_that_vanishes():
    a = jnp.ones((1, 2, 2, 1))
    found = alignment(a, 0 * a)
    assert float(found.l2[0]) == 2
    assert float(found.cosine[0]) == 0
    assert not np.isfinite(found.relative_l2[0])


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e22])
def test_maps_whose_squares_leave_the_range(size):
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 4, 3)).astype(np.float32)
    plain = alignment(jnp.asarray(a), jnp.asarray(b))
    found = alignment(jnp.asarray(a) * size, jnp.asarray(b) * size)
    np.testing.assert_allclose(found.l2, plain.l2 * size, rtol=1e-4)
    for name in ("relative_l2", "cosine", "spearman"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(plain, name), rtol=1e-4
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_has_no_alignment(value):
    a = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 4, 3)), jnp.float32)
    holed = a.at[0, 1, 2, 0].set(value)
    for found in (alignment(holed, 2 * a), alignment(2 * a, holed)):
        for name, values in found._asdict().items():
            has_ranks = name == "spearman" and np.isinf(value)
            assert np.isnan(values[0]) != has_ranks, name
            assert np.isfinite(values[1]), name


def test_misuse():
    a = jnp.ones((1, 2, 2, 1))
    with pytest.raises(ValueError, match="a: expected a non-empty float array of maps"):
        ja.alignment(a[0, 0], a[0, 0])
    with pytest.raises(ValueError, match="b: expected attributions as a"):
        ja.alignment(a, jnp.ones((1, 2, 3, 1)))
