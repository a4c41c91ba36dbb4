"""Convolution in groups of channels that do not meet, fast on CPU at every order.

XLA's own is several times slower on CPU than an ordinary convolution of as many numbers,
its gradient more so (``docs/models.md``). So there a few groups at a time are one
ordinary convolution, whose kernel is zero between them: the products with zeros cost
less than narrow groups do.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxattr.convolutions.trilinear import (
    Geometry,
    Trilinear,
    transposed,
    xla_convolve,
)
from jaxattr.typing import Array

MERGED_CHANNELS = 32
"""Inputs of merged groups, about."""


def merged(groups: int, inputs: int) -> int:
    """How many groups of so many inputs are one ordinary convolution: a divisor."""

    def farness(count: int) -> float:
        return abs(math.log(count * inputs / MERGED_CHANNELS))

    divisors = (n for n in range(1, groups + 1) if groups % n == 0)
    return min(divisors, key=farness)


def merging(dense: Trilinear) -> Trilinear:
    """The three, by ``dense`` on several groups at a time.

    An infinity makes NaN of what its neighbours among the merged groups give.
    """

    def convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
        kernels, one = _dense_kernels(kernel, geometry), geometry._replace(groups=1)
        parts = zip(jnp.split(images, len(kernels), -1), kernels, strict=True)
        return jnp.concatenate([dense.convolve(x, k, one) for x, k in parts], -1)

    def to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
        kernels, one = _dense_kernels(kernel, geometry), geometry._replace(groups=1)
        parts = zip(kernels, jnp.split(cotangent, len(kernels), -1), strict=True)
        return jnp.concatenate([dense.to_images(k, g, one) for k, g in parts], -1)

    def to_kernel(images: Array, cotangent: Array, geometry: Geometry) -> Array:
        groups, one = geometry.groups, geometry._replace(groups=1)
        inputs, outputs = images.shape[-1] // groups, cotangent.shape[-1] // groups
        together = merged(groups, inputs)
        parts = (jnp.split(a, groups // together, -1) for a in (images, cotangent))
        kernels = []
        for x, g in zip(*parts, strict=True):
            kernel = dense.to_kernel(x, g, one)
            kernel = kernel.reshape(
                *geometry.window, together, inputs, together, outputs
            )
            kernels += [kernel[:, :, i, :, i] for i in range(together)]
        return jnp.concatenate(kernels, -1)

    return Trilinear(convolve, to_images, to_kernel)


def _dense_kernels(kernel: Array, geometry: Geometry) -> list[Array]:
    """An ordinary kernel for each part of the channels."""
    *window, inputs, outputs = kernel.shape
    together = merged(geometry.groups, inputs)
    count, outputs = geometry.groups // together, outputs // geometry.groups
    parts = kernel.reshape(*window, inputs, count, together, outputs)
    # Each group's outputs see its own inputs, and zeros in the place of the others'.
    shape = (*window, together, inputs, together, outputs)
    own = lax.broadcast_in_dim(jnp.eye(together, dtype=kernel.dtype), shape, (2, 4))
    return [
        (jnp.broadcast_to(parts[:, :, None, :, i], shape) * own).reshape(
            *window, together * inputs, together * outputs
        )
        for i in range(count)
    ]


def _convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    return xla_convolve(images, kernel, geometry, geometry.groups)


xla = transposed(
    _convolve,
    lambda images, cotangent, geometry: (
        *geometry.window,
        images.shape[-1] // geometry.groups,
        cotangent.shape[-1],
    ),
)
"""The three, as XLA has them."""
