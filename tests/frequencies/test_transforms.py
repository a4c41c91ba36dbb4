import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import toys

from jaxattr.frequencies import transforms


def test_dct_is_the_orthonormal_type_two_transform():
    images = toys.images(2, 7, 5)
    expected = scipy.fft.dctn(np.asarray(images, np.float64), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(transforms.dct2(images), expected, atol=3e-6)


@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (1, 224, 224, 3), (2, 3, 8, 8, 1)])
def test_round_trip_and_parseval(shape):
    images = toys.images(1, np.prod(shape[:-1]), shape[-1], 1).reshape(shape)
    coefficients = transforms.dct2(images)
    np.testing.assert_allclose(transforms.idct2(coefficients), images, atol=3e-6)
    energy = [
        float(jnp.sum(v.astype(jnp.float32) ** 2)) for v in (images, coefficients)
    ]
    np.testing.assert_allclose(*energy, rtol=1e-5)


def test_float64_is_kept():
    with toys.float64():
        images = toys.images(dtype=jnp.float64)
        error = transforms.idct2(transforms.dct2(images)) - images
        assert error.dtype == jnp.float64
        assert np.abs(error).max() < 1e-13


def test_one_array_after_another():
    earlier, array = jnp.full((2, 3), jnp.nan), jnp.arange(4.0)
    for first in (earlier, jnp.ones((2, 3), complex), jnp.full((1,), jnp.inf)):
        after = jax.jit(transforms.after)
        np.testing.assert_array_equal(after(first, array), array)
        slope = jax.grad(lambda x: jnp.sum(x**2))(array)
        found = jax.grad(lambda x: jnp.sum(after(first, x) ** 2))(array)
        np.testing.assert_array_equal(found, slope)
        # What the array waits for is still there in the program that runs.
        text = after.lower(first, array).compile().as_text()
        assert "direction=GT" in text
