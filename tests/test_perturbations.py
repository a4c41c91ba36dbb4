import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.stats
import toys

from jaxattr import _random, perturbations

KEYS = jax.random.split(jax.random.key(0), 3)
SAMPLES = _random.fold_in(KEYS, jnp.arange(4))


def draw(perturbation, images, keys):
    return jax.jit(lambda images, keys: perturbation(images)(keys))(images, keys)


@pytest.mark.parametrize(
    "perturbation",
    [
        perturbations.gaussian(0.1),
        perturbations.spectral_copies(0.1, 0.5),
        pytest.param(perturbations.input_diversity(1.0, 1.9), marks=pytest.mark.slow),
    ],
)
def test_every_image_and_sample_has_its_own_draw_and_only_its_own(perturbation):
    images = toys.images()
    draws = draw(perturbation, images, SAMPLES)
    assert draws.shape == (4, *images.shape)
    alone = draw(perturbation, images[1:2], SAMPLES[2:3, 1:2])
    np.testing.assert_allclose(alone[0, 0], draws[2, 1], atol=1e-6)
    same = jnp.broadcast_to(images[:1], images.shape)
    distinct = draw(perturbation, same, SAMPLES).reshape(12, -1)
    assert len(np.unique(np.asarray(distinct).round(5), axis=0)) > 4


def test_gaussian_is_normal_in_pixel_units():
    images = jnp.full((3, 20, 20, 3), 0.5)
    noise = (draw(perturbations.gaussian(0.2), images, SAMPLES) - 0.5) / 0.2
    assert scipy.stats.kstest(np.ravel(noise), "norm").pvalue > 1e-3


def test_spectral_copies_without_noise_or_gain_are_the_image():
    images = toys.images()
    copies = draw(perturbations.spectral_copies(0.0, 0.0), images, KEYS)
    np.testing.assert_allclose(copies, images, atol=3e-6)


def test_spectral_noise_is_white_in_pixels_too():
    images = jnp.zeros((3, 20, 20, 3))
    noise = draw(perturbations.spectral_copies(0.2, 0.0), images, SAMPLES) / 0.2
    assert scipy.stats.kstest(np.ravel(noise), "norm").pvalue > 1e-3


def test_spectral_gain_is_uniform_and_elementwise_in_the_cosine_domain():
    images = toys.images(3, 16, 16)
    copies = draw(perturbations.spectral_copies(0.0, 0.5), images, SAMPLES)
    dct = lambda x: scipy.fft.dctn(np.asarray(x, np.float64), axes=(-3, -2))
    gain = (dct(copies) / dct(images)).ravel()
    assert scipy.stats.kstest(gain, "uniform", (0.5, 1.0)).pvalue > 1e-3


def resize(image, new):
    """Bilinear, half-pixel centres, no antialias, one axis at a time, in loops."""
    for axis in (0, 1):
        old = image.shape[axis]
        rows = []
        for i in range(new[axis]):
            u = min(max((i + 0.5) * old / new[axis] - 0.5, 0), old - 1)
            low = int(np.floor(u))
            high = min(low + 1, old - 1)
            a, b = np.take(image, low, axis), np.take(image, high, axis)
            rows.append((1 - (u - low)) * a + (u - low) * b)
        image = np.stack(rows, axis)
    return image


@pytest.mark.parametrize("rate", [1.15, 1.4, 0.8])
def test_diversity_is_resize_pad_resize(rate):
    """Against the definition, replaying the draws."""
    h, w = 16, 12
    images = toys.images(3, h, w)
    diverse = draw(perturbations.input_diversity(1.0, rate), images, KEYS)
    for i in range(3):
        _, size, top, left = np.asarray(jax.random.uniform(KEYS[i], (4,)), np.float64)
        sides, offsets, resized = [], [], []
        for side, offset in ((h, top), (w, left)):
            small, large = sorted((side, int(side * rate)))
            resized.append(small + int(size * (large - small)))
            offsets.append(int(offset * (large - resized[-1])))
            sides.append(large)
        padded = np.zeros((*sides, 3))
        image = resize(np.asarray(images[i], np.float64), resized)
        rows, columns = (slice(o, o + r) for o, r in zip(offsets, resized, strict=True))
        padded[rows, columns] = image
        np.testing.assert_allclose(diverse[i], resize(padded, (h, w)), atol=1e-5)


def test_diversity_is_applied_with_its_probability():
    images = jnp.broadcast_to(toys.images(1), (3, 6, 5, 3))
    keys = _random.fold_in(KEYS, jnp.arange(200))
    diverse = draw(perturbations.input_diversity(0.3, 1.5), images, keys)
    changed = np.asarray(jnp.any(diverse != images[None], axis=(2, 3, 4)))
    assert scipy.stats.binomtest(int(changed.sum()), 600, 0.3).pvalue > 1e-3


def test_diversity_without_room_is_the_identity():
    images = toys.images()
    np.testing.assert_allclose(
        draw(perturbations.input_diversity(1.0, 1.01), images, KEYS), images, atol=1e-6
    )
