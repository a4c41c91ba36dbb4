"""The distribution over bands and its score; the signal-to-noise ratio."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

# M: eta, one-hot on band 0, on band M-1, proportional to M, M-1, ..., 1.
SCORES = {
    4: (0.476643, 0.421543, 0.348684, 0.128024),
    8: (0.299112, 0.521717, 0.300156, 0.131823),
    16: (0.163710, 0.595201, 0.185188, 0.107367),
}


@pytest.mark.parametrize("bands", quick(SCORES, 8))
def test_table_of_scores(bands):
    _, low, high, falling = SCORES[bands]
    shapes = jnp.stack(
        [jnp.eye(bands)[0], jnp.eye(bands)[-1], jnp.arange(bands, 0, -1.0)]
    )
    np.testing.assert_allclose(
        ja.spectral_score(shapes), [low, high, falling], atol=1e-6
    )
    signed = ja.spectral_score(shapes, signed=True)
    np.testing.assert_allclose(signed, [low, -high, falling], atol=1e-6)
    np.testing.assert_allclose(ja.spectral_score(jnp.ones(bands)), 0, atol=1e-6)


def test_beta_moves_the_weight():
    share = jnp.array([0.5, 0.4, 0.1, 0.0])
    weights = 0.5 ** np.arange(4)
    eta = weights.sum() / (4 * np.linalg.norm(weights))
    expected = (share @ weights / np.linalg.norm(weights) - eta) / (1 - eta)
    np.testing.assert_allclose(ja.spectral_score(share, beta=0.5), expected, rtol=1e-5)


def test_distribution():
    values = jnp.array([[0.5, -0.5, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    shares = ja.spectral_distribution(values)
    np.testing.assert_allclose(shares, [[2 / 3, 0, 1 / 3], [1 / 3] * 3, [1 / 3] * 3])
    moved = ja.spectral_distribution(3 * values[0] + 7)
    np.testing.assert_allclose(moved, shares[0], atol=1e-6)
    gradient = jax.grad(lambda v: ja.spectral_distribution(v)[0])(values[1])
    assert bool(jnp.isfinite(gradient).all())


def test_bad_input():
    for function in (ja.spectral_distribution, ja.spectral_score):
        with pytest.raises(ValueError, match="expected a float array"):
            function(jnp.zeros(3, int))
    with pytest.raises(ValueError, match="beta: expected a number between 0 and 1"):
        ja.spectral_score(jnp.ones(4), beta=1.5)
    with pytest.raises(ValueError, match="distribution: expected .*two bands"):
        ja.spectral_score(jnp.ones(1))


@pytest.mark.slow
def test_snr_of_white_noise_mirrors_the_image():
    """Power falling as r^-3 over flat noise: an SNR that falls as r^-3."""
    side = 64
    u = np.fft.fftfreq(side, 1 / side)
    radius = np.maximum(np.abs(u)[:, None], np.abs(u)[None, :])
    rng = np.random.default_rng(0)
    spectra = np.fft.fft2(rng.normal(size=(20, side, side)))
    images = np.fft.ifft2(spectra * np.maximum(radius, 1) ** -1.5).real[..., None]
    noisy = images + 0.01 * rng.normal(size=images.shape)
    ratios = ja.spectral_snr(jnp.asarray(images, float), jnp.asarray(noisy, float))
    assert ratios.shape == (side // 2 + 1,)
    slope = np.polyfit(np.log(np.arange(2, 32)), np.log(ratios[2:32]), 1)[0]
    np.testing.assert_allclose(slope, -3, atol=0.15)


@pytest.mark.slow
def test_snr_by_hand():
    """A perturbation in one ring: finite there alone; geometric means over images."""
    images = toys.images(2, 8, 8)
    wave = 0.1 * np.cos(2 * np.pi * 2 * np.arange(8) / 8)
    perturbed = images + jnp.asarray(wave, float)[None, :, None, None]
    ratios = np.asarray(ja.spectral_snr(images, perturbed))
    assert ratios[2] < 1e-6 * ratios[[0, 1, 3, 4]].min()
    power = np.abs(np.fft.fft2(np.asarray(images), axes=(1, 2))) ** 2
    u = np.abs(np.fft.fftfreq(8, 1 / 8))
    ring = np.maximum(u[:, None], u[None, :]) == 2
    signal = power.mean(-1)[:, ring].mean(1)
    noise = 2 * (0.1 * 8 * 8 / 2) ** 2 / ring.sum()
    np.testing.assert_allclose(ratios[2], np.sqrt(np.prod(signal / noise)), rtol=1e-4)
    assert np.isinf(ja.spectral_snr(images, images)).all()
    with pytest.raises(ValueError, match="perturbed: expected shape"):
        ja.spectral_snr(images, perturbed[:1])
