"""The filter bank against PyWavelets, and as the rotation that it is."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja
from jaxattr.frequencies import wavelets

GOLDEN = np.load(pathlib.Path(__file__).parent / "goldens" / "wavelets.npz")
LEVELS = {"haar": 3, "db2": 2, "db4": 2}


@pytest.mark.parametrize("moments", range(1, 9))
def test_filters_are_those_of_pywavelets(moments):
    taps = wavelets.scaling_filter(moments)
    np.testing.assert_allclose(taps, GOLDEN[f"filter_{moments}"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", LEVELS)
def test_transforms_are_those_of_pywavelets(name):
    with toys.float64():
        basis = ja.bases.wavelet(name, levels=LEVELS[name])
        values = basis.forward(jnp.asarray(GOLDEN["image"])[None, :, :, None])
    np.testing.assert_allclose(values[0, :, :, 0], GOLDEN[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("moments", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 10, 16])
def test_a_level_is_a_rotation_whatever_the_size(size, moments):
    """Sides shorter than the filter, and odd ones, among them."""
    matrix = wavelets.level_matrix(size, moments)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-9)


@pytest.mark.parametrize("moments", [1, 2, 4])
def test_details_of_a_polynomial_vanish_away_from_the_border(moments):
    """So many vanishing moments: what makes it the wavelet of that name."""
    size = 32
    details = wavelets.level_matrix(size, moments)[size // 2 :]
    away = details[moments:-moments]
    for degree in range(moments):
        np.testing.assert_allclose(
            away @ (np.arange(size) / size) ** degree, 0, atol=1e-8
        )
    assert np.abs(away @ (np.arange(size) / size) ** moments).max() > 1e-6


@pytest.mark.parametrize("name", ["haar", "db4"])
def test_there_and_back_and_energy_on_odd_sides(name):
    with toys.float64():
        images = toys.images(2, 7, 10, dtype=jnp.float64)
        basis = ja.bases.wavelet(name)
        values = basis.forward(images)
        assert values.shape == images.shape
        np.testing.assert_allclose(basis.inverse(values), images, atol=1e-10)
        energies = [float(jnp.sum(x**2)) for x in (images, values)]
        np.testing.assert_allclose(*energies, rtol=1e-10)


def test_haar_by_hand():
    """Sums and differences over the root of two: two levels of four values."""
    basis = ja.bases.wavelet("haar", levels=2)
    values = basis.forward(jnp.array([5.0, 3.0, 2.0, 8.0]).reshape(1, 1, 4, 1))
    root = 2**0.5
    np.testing.assert_allclose(values.ravel(), [9, -1, root, -3 * root], atol=1e-6)


def test_bands_are_channels_that_sum_to_the_image():
    images = toys.images(2, 8, 8)
    masks = ja.band_masks(8, 8, 3)
    basis = ja.bases.fft_bands(masks)
    values = basis.forward(images)
    bands = ja.band_images(images, masks)
    for i in range(3):
        np.testing.assert_allclose(values[..., 3 * i : 3 * i + 3], bands[i], atol=1e-6)
    np.testing.assert_allclose(basis.inverse(values), images, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ja.bases.wavelet("db9"), "name: unknown 'db9'"),
        (lambda: ja.bases.wavelet("haar", levels=0), "levels: .*at least 1"),
        (
            lambda: ja.bases.wavelet("haar", levels=5).forward(toys.images(1, 8, 9)),
            "levels: expected at most 4 of 8 x 9",
        ),
        (lambda: ja.bases.fft_bands(jnp.ones((2, 4, 4))), "masks: .*sum to one"),
        (
            lambda: ja.bases.fft_bands(jnp.ones((1, 4, 4))).forward(toys.images(1)),
            "masks: expected",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
