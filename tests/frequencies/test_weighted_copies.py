import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from jaxattr.frequencies import bands, weighted_copies

energy_cutoff = jax.jit(
    weighted_copies.energy_cutoff, static_argnames=("norm", "include_dc")
)


def cutoff(images, energy, norm):
    """One image, from the definition, radius by radius."""
    power = np.abs(np.fft.fft2(images, axes=(0, 1))) ** 2
    h, w = images.shape[:2]
    u, v = np.meshgrid(
        np.fft.fftfreq(h, 1 / h), np.fft.fftfreq(w, 1 / w), indexing="ij"
    )
    radius = np.hypot(u, v) if norm == "l2" else np.maximum(abs(u), abs(v))
    power = power.sum(-1) * (radius > 0)
    for r in range(1, h + w):
        if power[radius <= r].sum() >= energy * power.sum():
            return r
    return None


@pytest.mark.parametrize("norm", bands.NORMS)
@pytest.mark.parametrize("energy", [0.3, 0.8, 0.99])
def test_energy_cutoff_against_a_loop(norm, energy):
    images = np.cumsum(toys.images(3, 12, 9), axis=1, dtype=np.float32)
    expected = [cutoff(x.astype(float), energy, norm) for x in images]
    actual = energy_cutoff(jnp.asarray(images), energy, norm=norm)
    np.testing.assert_array_equal(actual, expected)


def test_energy_cutoff_grows_with_the_share_and_ignores_scale_and_mean():
    images = jnp.cumsum(toys.images(3, 16, 16), axis=2)
    cutoffs = [energy_cutoff(images, e) for e in (0.2, 0.5, 0.9, 0.99, 1.0)]
    assert (np.diff(cutoffs, axis=0) >= 0).all()
    for changed in (3 * images, images + 0.5):
        np.testing.assert_array_equal(energy_cutoff(changed, 0.9), cutoffs[2])


@pytest.mark.parametrize("size", [7, 28, 224])
def test_a_constant_image_has_the_smallest_cutoff(size):
    images = jnp.full((1, size, size, 3), 0.3)
    assert energy_cutoff(images, 0.9)[0] == 1


@pytest.mark.parametrize(("transform", "columns"), [("fft", 5), ("dct", 9)])
def test_weights_are_complementary_and_one_half_is_all_pass(transform, columns):
    radii = jnp.array([1, 3])
    weigh = lambda alpha, **more: weighted_copies.band_weights(
        radii, (8, 9), alpha, transform=transform, **more
    )
    assert weigh(0.1).shape == (2, 8, columns, 1)
    np.testing.assert_array_equal(weigh(0.5), 1.0)
    np.testing.assert_allclose(weigh(0.1) + weigh(0.9), 2.0)
    np.testing.assert_allclose(weigh(0.3, alpha_on="high"), weigh(0.7))
    assert weigh(1.0)[0, 0, 0, 0] == 2.0, "the mean belongs to the low band"


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_noise_stays_in_its_band(alpha):
    """All of it above the cutoff for 0, and none of it for 1."""
    images = jnp.full((2, 16, 16, 3), 0.5)
    weights = weighted_copies.band_weights(jnp.array([4, 4]), (16, 16), alpha)
    prepare = weighted_copies.weighted_copies(lambda _: weights, 0.1, 0.0)
    copies = jax.jit(lambda keys: prepare(images)(keys))
    noise = np.asarray(copies(jax.random.split(jax.random.key(0), 2)) - images)
    power = np.abs(np.fft.fft2(noise, axes=(1, 2))) ** 2
    u = np.abs(np.fft.fftfreq(16, 1 / 16))
    low = np.hypot(u[:, None], u[None, :]) <= 4
    assert power[:, low if alpha == 0 else ~low].max() < 1e-6 * power.max()


@pytest.mark.parametrize("transform", ["fft", "dct"])
@pytest.mark.parametrize("size", [pytest.param((8, 8), marks=pytest.mark.slow), (7, 9)])
def test_noise_is_white(transform, size):
    """Drawn as a transform it is what pixels of one variance have, all of them alike."""
    images = jnp.full((1, *size, 2), 0.5)
    weigh = lambda x: weighted_copies.band_weights(
        jnp.array([3]), size, 0.5, transform=transform
    )
    prepare = weighted_copies.weighted_copies(weigh, 0.1, 0.0, transform=transform)
    copies = jax.jit(lambda keys: prepare(images)(keys))
    keys = jax.random.split(jax.random.key(0), (4000, 1))
    noise = np.asarray(copies(keys) - images[None]).reshape(4000, -1)
    covariance = noise.T @ noise / len(noise) / 0.1**2
    error = np.abs(covariance - np.eye(len(covariance)))
    assert error.max() < 6 / np.sqrt(len(noise)) * np.sqrt(2)
    assert abs(np.trace(covariance) / len(covariance) - 1) < 0.01
