import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxattr.frequencies import fourier

SIZES = [(6, 5), (5, 8), (1, 1), (2, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_transforms_are_those_of_numpy(size):
    draw = np.random.default_rng(0)
    images = draw.normal(size=(2, *size, 3))
    expected = np.fft.rfft2(np.moveaxis(images, -1, -3))
    parts = draw.normal(size=(2, *expected.shape))  # no transform of any real image
    inverse = np.fft.irfft2(parts[0] + 1j * parts[1], s=size)
    with toys.float64():
        real, imaginary = fourier.rfft2(jnp.asarray(images))
        back = fourier.irfft2(*map(jnp.asarray, parts), width=size[1])
        assert back.dtype == jnp.float64
    np.testing.assert_allclose(real, expected.real, atol=1e-12)
    np.testing.assert_allclose(imaginary, expected.imag, atol=1e-12)
    np.testing.assert_allclose(back, np.moveaxis(inverse, -3, -1), atol=1e-12)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_images_stay_on_their_devices(axis_type):
    images = toys.images(4)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))

    def there_and_back(images):
        return fourier.irfft2(*fourier.rfft2(images), width=images.shape[-2])

    with jax.set_mesh(mesh):
        spread = jax.device_put(images, NamedSharding(mesh, P("data")))
        program = jax.jit(there_and_back).lower(spread).compile()
    # With jnp.fft there is an all-gather here.
    assert not any(word in program.as_text() for word in ("all-gather", "all-reduce"))
    np.testing.assert_allclose(program(spread), images, atol=1e-6)
