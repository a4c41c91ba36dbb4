"""SSIM against scikit-image, cosine against its equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

import jaxattr as ja

skimage = pytest.importorskip("skimage.metrics")
RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 12, 15)).astype(np.float32)
B = (A + RNG.normal(size=A.shape) * np.array([0.1, 1, 5])[:, None, None]).astype(
    "float32"
)
ssim = jax.jit(ja.ssim, static_argnames="window")


@pytest.mark.parametrize("window", quick([1, 3], 3))
def test_ssim_of_scikit_image(window):
    found, given = ssim(A + 1, B + 1, window=window), ja.ssim(A, B, data_range=3.0)
    for i in range(3):
        both = np.stack([A[i] + 1, B[i] + 1]).astype(np.float64)
        options = {"win_size": 2 * window + 1, "data_range": np.ptp(both)}
        expected = skimage.structural_similarity(*both, **options)
        np.testing.assert_allclose(found[i], expected, atol=1e-5)
        expected = skimage.structural_similarity(
            *(v[i].astype(np.float64) for v in (A, B)), data_range=3.0
        )
        np.testing.assert_allclose(given[i], expected, atol=1e-5)
    assert np.ptp(found) > 0.3


def test_cosine():
    a, b = (v.reshape(3, -1).astype(np.float64) for v in (A, B))
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(ja.cosine_similarity(A, B), expected, rtol=1e-5)
    np.testing.assert_allclose(ja.cosine_similarity(A, -B), -expected, rtol=1e-5)


@pytest.mark.parametrize("measure", [ja.ssim, ja.cosine_similarity])
def test_scale_equals_and_nan(measure):
    measure = jax.jit(measure)
    expected = measure(A, B)
    for scale in (1e-30, 1e30):
        scale = np.float32(scale)
        np.testing.assert_allclose(measure(A * scale, B * scale), expected, rtol=1e-4)
    np.testing.assert_allclose(measure(A, A), 1, rtol=1e-5)
    np.testing.assert_allclose(measure(B, A), expected, rtol=1e-5)
    broken = A.copy()
    broken[1, 2, 3] = np.nan
    found = measure(broken, B)
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)


def test_flat_maps_and_misuse():
    flat = jnp.ones((1, 8, 8))
    assert ja.ssim(flat, flat) == 1
    assert ja.cosine_similarity(flat, 0 * flat) == 0
    with pytest.raises(ValueError, match="a: .*at least 9 x 9 pixels"):
        ja.ssim(flat, flat, window=4)
    with pytest.raises(ValueError, match="b: expected maps shaped as a"):
        ja.ssim(flat, flat[:, 1:])
