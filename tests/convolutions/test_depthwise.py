"""Depthwise convolution as shifted products and as XLA's grouped convolution.

What holds for every convolution is in ``test_trilinear``.
"""

import chex
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxattr.convolutions import depthwise
from jaxattr.convolutions.padding import explicit_padding
from jaxattr.convolutions.trilinear import Geometry


def reference(images, kernel, stride, padding):
    size, window = images.shape[1:3], kernel.shape[:2]
    return lax.conv_general_dilated(
        images,
        kernel[:, :, None, :],
        (stride, stride),
        explicit_padding(padding, size, window, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )


def draw(shape, window, dtype=jnp.float32):
    images = jax.random.normal(jax.random.key(0), shape, dtype)
    return images, jax.random.normal(jax.random.key(1), (*window, shape[-1]), dtype)


CASES = [
    ((7, 8), (3, 3), 2, "tf_same"),
    ((8, 9), (5, 5), 1, "tf_same"),
    ((8, 9), (5, 5), 2, "tf_same"),
    ((7, 6), (5, 5), 2, "symmetric"),
    ((9, 8), (2, 3), 3, ((0, 3), (4, 1))),
    ((7, 7), (1, 1), 2, "tf_same"),
    ((9, 9), (3, 3), 1, ((-1, 0), (2, -2))),
]
FEW = (CASES[0], CASES[4])
each_case = pytest.mark.parametrize(
    ("size", "window", "stride", "padding"),
    [c if c in FEW else pytest.param(*c, marks=pytest.mark.slow) for c in CASES],
)


@each_case
def test_both_implementations_agree(size, window, stride, padding):
    """Also where neither runs by itself: on CPU the sums, elsewhere XLA's."""
    images, kernel = draw((2, *size, 3), window)
    pads = explicit_padding(padding, size, window, stride)
    shape = jax.eval_shape(lambda: reference(images, kernel, stride, padding)).shape
    output = jax.random.normal(jax.random.key(2), shape)
    geometry = Geometry(stride, pads, size, window, shape[1:3])

    @jax.jit
    def both(images, kernel, output):
        return [
            [
                three.convolve(images, kernel, geometry),
                three.to_images(kernel, output, geometry),
                three.to_kernel(images, output, geometry),
            ]
            for three in (depthwise._shifted, depthwise._grouped)
        ]

    chex.assert_trees_all_close(*both(images, kernel, output), atol=1e-4)
