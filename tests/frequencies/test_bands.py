"""Band masks and band images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja

SIZES = [(2, 2), (7, 7), (8, 8), (15, 15), (16, 16), (8, 13), (13, 8), (7, 10)]
KEPT = [(2, 2), (7, 7), (8, 8), (8, 13)]
KINDS = [
    ("centered", "linf"),
    ("centered", "l2"),
    ("released", "linf"),
    ("released", "l2"),
]


def most(height, width, convention, norm):
    side = min(height, width)
    if convention == "centered":
        return side // 2 + 1
    return side if norm == "linf" else (side + 1) // 2


@pytest.mark.parametrize(("convention", "norm"), KINDS)
@pytest.mark.parametrize(
    ("height", "width"),
    [
        size if size in KEPT else pytest.param(*size, marks=pytest.mark.slow)
        for size in SIZES
    ],
)
def test_masks_are_disjoint_and_cover_a_square(height, width, convention, norm):
    for bands in range(1, most(height, width, convention, norm) + 1):
        masks = np.asarray(
            ja.band_masks(height, width, bands, norm=norm, convention=convention)
        )
        assert masks.shape == (bands, height, width)
        assert set(np.unique(masks)) <= {0, 1}
        assert (masks.sum((1, 2)) > 0).all(), "no band is empty"
        total = masks.sum(0)
        assert total.max() == 1
        if height == width:
            assert total.min() == 1
        if convention == "centered":
            assert masks[0, 0, 0] == 1, "the mean is in the lowest band"


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_centered_masks_are_symmetric(height, width, norm):
    masks = np.asarray(ja.band_masks(height, width, 2, norm=norm))
    mirrored = masks[:, -np.arange(height)][:, :, -np.arange(width)]
    np.testing.assert_array_equal(mirrored, masks)


def test_centered_rings_by_hand():
    """d = 8, M = 2, so R = 4: rings 0 <= r < 2 and 2 <= r <= 4, Nyquist inside."""
    radius = np.array([0, 1, 2, 3, 4, 3, 2, 1])
    largest = np.maximum(radius[:, None], radius[None, :])
    np.testing.assert_array_equal(ja.band_masks(8, 8, 2)[0], largest < 2)
    square = radius[:, None] ** 2 + radius[None, :] ** 2
    np.testing.assert_array_equal(ja.band_masks(8, 8, 2, norm="l2")[0], square < 4)


def test_released_boxes_by_hand():
    """d = 6, M = 3: boxes of 2, 4 and 6, from -1, -2 and -3, off the centre."""
    shifted = np.fft.fftshift(ja.band_masks(6, 6, 3, convention="released"), (1, 2))
    boxes = np.cumsum(shifted, axis=0)
    for i, (low, high) in enumerate([(2, 4), (1, 5), (0, 6)]):
        expected = np.zeros((6, 6))
        expected[low:high, low:high] = 1
        np.testing.assert_array_equal(boxes[i], expected)


def test_released_areas_of_the_paper():
    areas = ja.band_masks(224, 224, 8, convention="released").sum((1, 2))
    np.testing.assert_array_equal(areas, 784 * np.arange(1, 16, 2))


def test_beyond_the_shorter_side_is_in_no_band():
    total = ja.band_masks(8, 12, 4).sum(0)
    expected = np.abs(np.fft.fftfreq(12, 1 / 12).round()) <= 4
    np.testing.assert_array_equal(total, np.broadcast_to(expected, (8, 12)))


@pytest.mark.parametrize(("convention", "norm"), KINDS)
@pytest.mark.parametrize("side", [15, 16])
def test_all_bands_give_the_image_back(side, convention, norm):
    images = toys.images(2, side, side)
    masks = ja.band_masks(side, side, 4, norm=norm, convention=convention)
    bands = ja.band_images(images, masks)
    assert bands.dtype == images.dtype
    np.testing.assert_allclose(bands.sum(0), images, atol=1e-6)
    whole = ja.band_images(images, masks, real=False)
    np.testing.assert_allclose(whole.real, bands, atol=1e-7)
    even_boxes = convention == "released" and side % 2 == 0
    assert (float(jnp.abs(whole.imag).max()) > 1e-3) == even_boxes


def test_bands_keep_energies():
    """Parseval: the energy of a sum of bands is the sum of their energies."""
    bands = ja.band_images(toys.images(2, 16, 16), ja.band_masks(16, 16, 5))
    energy = (bands**2).sum((1, 2, 3, 4))
    np.testing.assert_allclose((bands.sum(0) ** 2).sum(), energy.sum(), rtol=1e-5)
    products = jnp.einsum("anhwc,bnhwc->ab", bands, bands)
    np.testing.assert_allclose(products, jnp.diag(energy), atol=1e-3)


def test_one_transform_an_image_and_one_back_a_band():
    text = str(
        jax.make_jaxpr(ja.band_images)(toys.images(2, 16, 16), ja.band_masks(16, 16, 5))
    )
    assert text.count("= fft[") == 2


BAD = [
    ({"num_bands": 6}, "num_bands: expected at most 5 bands of 8 x 9 pixels.*got 6"),
    ({"num_bands": 0}, "num_bands: expected an integer of at least 1"),
    ({"num_bands": 9, "convention": "released"}, "at most 8 bands"),
    ({"num_bands": 5, "convention": "released", "norm": "l2"}, "at most 4 bands"),
    ({"norm": "l1"}, "norm: unknown 'l1'.*l2, linf"),
    ({"convention": "author"}, "convention: unknown 'author'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_masks(change, message):
    with pytest.raises(ValueError, match=message):
        ja.band_masks(**{"height": 8, "width": 9, "num_bands": 2} | change)


def test_bad_images():
    with pytest.raises(ValueError, match=r"masks: expected \(M, 6, 5\), got"):
        ja.band_images(toys.images(), ja.band_masks(8, 8, 2))
    with pytest.raises(ValueError, match=r"images: expected .*\(N, H, W, C\)"):
        ja.band_images(jnp.zeros((6, 5, 3)), ja.band_masks(6, 5, 2))
