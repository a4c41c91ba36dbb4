"""Blur IG: the authors' numbers, the scale space, and completeness."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import released_network
import scipy.ndimage
import toys

import jaxattr as ja
from jaxattr.frequencies.scale_space import blurred, blurred_and_slope

GOLDENS = pathlib.Path(__file__).parent / "goldens"
PARAMS = toys.init_smooth(jax.random.key(2))
model = functools.partial(toys.smooth_logits, PARAMS)


def test_maps_of_the_authors_code():
    """With the difference in the scale taken to its limit."""
    golden = np.load(GOLDENS / "blur_ig.npz")["maps"]
    with toys.float64():
        hidden, head = map(jnp.asarray, released_network.weights())
        network = lambda x: jnp.tanh(x.reshape(len(x), -1) @ hidden) @ head
        maps = ja.blur_ig(
            network,
            jnp.asarray(released_network.images()),
            jnp.asarray(released_network.LABELS),
            max_sigma=3.0,
            num_steps=6,
        )
    # A difference over 1e-6 is the derivative up to that.
    np.testing.assert_allclose(maps, golden, rtol=0, atol=1e-5 * np.abs(golden).max())


@pytest.mark.slow
def test_scales_are_those_of_scipy_and_slopes_their_differences():
    with toys.float64():
        images = toys.images(2, 9, 7, dtype=jnp.float64)
        sigmas = jnp.array([0.0, 0.05, 0.7, 2.3, 6.0])
        both = jax.jit(lambda x, sigmas: blurred_and_slope(x, sigmas, 6.0))
        found, slopes = both(images, sigmas)
        for sigma, values in zip(sigmas, found, strict=True):
            expected = scipy.ndimage.gaussian_filter(
                np.asarray(images), (0, float(sigma), float(sigma), 0), mode="constant"
            )
            np.testing.assert_allclose(values, expected, atol=1e-12)
        run = jax.jit(lambda x, sigmas: blurred(x, sigmas, 7.0))
        ahead, behind = (run(images, sigmas[2:] + h) for h in (1e-6, -1e-6))
        np.testing.assert_allclose(slopes[2:], (ahead - behind) / 2e-6, atol=1e-8)
        assert (slopes[0] == 0).all(), "no blur changes nothing at first"


@pytest.mark.slow
def test_the_map_sums_to_the_change_of_the_score():
    with toys.float64():
        images, labels = toys.images(2, dtype=jnp.float64), jnp.array([1, 3])
        maps = ja.blur_ig(
            model, images, labels, max_sigma=4.0, num_steps=300, rule="midpoint"
        )
        end = blurred(images, jnp.array([4.0]), 4.0)[0]
        change = (model(images) - model(end))[jnp.arange(2), labels]
    # The kernel is cut off, and so jumps a little where its reach grows.
    np.testing.assert_allclose(np.asarray(maps).sum((1, 2, 3)), change, rtol=5e-3)


@pytest.mark.parametrize("max_sigma", [0.0, -1.0, float("inf")])
def test_bad_input(max_sigma):
    with pytest.raises(ValueError, match="max_sigma: expected a number"):
        ja.blur_ig(model, toys.images(), toys.labels(), max_sigma=max_sigma)
