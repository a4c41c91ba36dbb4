"""3x3 convolutions of stride 1 with 2.25 times fewer products: Winograd's F(2x2, 3x3).

A tile of 2x2 outputs is made of the 4x4 pixels ``d`` that it sees:

    y = Aᵀ [(G k Gᵀ) ⊙ (Bᵀ d B)] A

         ⎡1  0 -1  0⎤        ⎡1   0   0 ⎤
    Bᵀ = ⎢0  1  1  0⎥    G = ⎢½   ½   ½ ⎥    Aᵀ = ⎡1 1  1  0⎤
         ⎢0 -1  1  0⎥        ⎢½  -½   ½ ⎥         ⎣0 1 -1 -1⎦
         ⎣0  1  0 -1⎦        ⎣0   0   1 ⎦

With channels, ``⊙`` is a matrix product in each of the 16 places. The transforms only
add, subtract and halve, so the rounding error is of the order of the direct sum's.

References:
  A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
  arXiv:1509.09308.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxattr.convolutions.padding import Pairs, pad
from jaxattr.convolutions.trilinear import Geometry
from jaxattr.typing import Array

Grid = list[list[Array]]
"""Rows of arrays, one a place of a window or tile."""

CACHE_BYTES = 2**25
"""Of transformed pixels that stay near the processor."""


def pays(
    pixels: Array, kernel: Array, geometry: Geometry, output: tuple[int, ...]
) -> bool:
    """Whether it is likely to be faster on a CPU than the direct sum.

    What it saves grows as the product of the channels and what it costs as their sum,
    several times more once the transformed pixels leave the caches. Half precision would
    lose digits in the transforms.

    Args:
      pixels: what is transformed, images or a cotangent.
      kernel: ``(h, w, I, O)``.
      geometry: of the convolution.
      output: the size of what comes out.
    """
    if geometry.window != (3, 3) or geometry.stride != 1:
        return False
    if jnp.finfo(pixels.dtype).bits < 32:
        return False
    leading = pixels.shape[:-3]
    if not all(isinstance(n, int) for n in leading):  # unknown when exported
        return False
    height, width = (-(-n // 2) for n in output)
    tiles = math.prod(leading) * height * width
    inputs, outputs = kernel.shape[2:]
    transformed = 16 * tiles * max(inputs, outputs) * pixels.dtype.itemsize
    saved = inputs * outputs / (inputs + outputs)
    return tiles >= 64 and saved >= (24 if transformed <= CACHE_BYTES else 96)


def convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    """The convolution of ``trilinear``, ``(..., H, W, I) -> (..., H', W', O)``."""
    planes = _kernel_planes(kernel)
    return _multiply(images, planes, 0, geometry.pads, geometry.output)


def to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    """Its transpose: a convolution with the kernel turned around.

    In the transformed kernel that swaps the outer places, so nothing is transformed
    twice where both are needed.
    """
    planes = _kernel_planes(kernel)
    order = (3, 1, 2, 0)
    turned = [[planes[a][b] for b in order] for a in order]
    pads = tuple((2 - low, 2 - high) for low, high in geometry.pads)
    return _multiply(cotangent, turned, 1, pads, geometry.size)


def _multiply(
    images: Array, planes: Grid, axis: int, pads: Pairs, output: tuple[int, ...]
) -> Array:
    """``axis`` of the planes is summed against the channels of the images."""
    height, width = (-(-n // 2) for n in output)
    tiles = _image_planes(images, pads, height, width)
    contract = (((images.ndim - 1,), (axis,)), ((), ()))
    products = [
        [lax.dot_general(t, k, contract) for t, k in zip(*pair, strict=True)]
        for pair in zip(tiles, planes, strict=True)
    ]
    pixels = _both_ways(_outputs, products)
    joined = jnp.stack([jnp.stack(row, -2) for row in pixels], -4)
    leading, channels = images.shape[:-3], joined.shape[-1]
    joined = joined.reshape(*leading, 2 * height, width, 2, channels)
    joined = joined.reshape(*leading, 2 * height, 2 * width, channels)
    return joined[..., : output[0], : output[1], :]


def _image_planes(images: Array, pads: Pairs, height: int, width: int) -> Grid:
    """``Bᵀ d B`` of every tile."""
    pads = tuple(
        (low, 2 * tiles + 2 - n - low)
        for (low, _), tiles, n in zip(
            pads, (height, width), images.shape[-3:-1], strict=True
        )
    )
    # Without the barrier XLA may fuse whatever made the images into every place.
    images = lax.optimization_barrier(pad(images, pads))
    places = [
        [
            images[..., a : a + 2 * height : 2, b : b + 2 * width : 2, :]
            for b in range(4)
        ]
        for a in range(4)
    ]
    return _both_ways(_inputs, places)


def _kernel_planes(kernel: Array) -> Grid:
    """``G k Gᵀ``."""
    return _both_ways(_taps, [list(row) for row in kernel])


def _both_ways(transform: Callable[..., list[Array]], grid: Grid) -> Grid:
    """``transform`` of every column, then of every row."""
    columns = [transform(*column) for column in zip(*grid, strict=True)]
    return [transform(*row) for row in zip(*columns, strict=True)]


def _inputs(a: Array, b: Array, c: Array, d: Array) -> list[Array]:
    return [a - c, b + c, c - b, b - d]


def _taps(a: Array, b: Array, c: Array) -> list[Array]:
    return [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]


def _outputs(a: Array, b: Array, c: Array, d: Array) -> list[Array]:
    return [a + b + c, b - c - d]
