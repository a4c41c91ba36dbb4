"""Depthwise convolution that is fast on CPU and GPU, at every order of differentiation.

XLA's grouped convolution is 10 to 40 times slower on CPU than the same sum of shifted
products, and a whole network of them is several times slower on GPU (``docs/models.md``).
Differentiating that sum turns its slices into pads, which XLA does not vectorise. So it
is one of the convolutions of ``trilinear``, and each of the three is written so that it
compiles well: sums of shifted products on CPU and GPU, XLA's convolutions elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxattr._checks import fail
from jaxattr._numerics.apart import apart
from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions.padding import Padding, pad
from jaxattr.convolutions.phases import of_phases, phases
from jaxattr.convolutions.trilinear import (
    Geometry,
    Trilinear,
    define,
    of_shapes,
    shifts,
    transposed,
    xla_convolve,
)
from jaxattr.typing import Array


def depthwise_conv(
    images: Array, kernel: Array, *, stride: int = 1, padding: Padding = "tf_same"
) -> Array:
    """Each channel with its own kernel: ``yᶜ[o] = Σ_i xᶜ[stride·o + i] · kᶜ[i]``.

    Args:
      images: ``(..., H, W, C)`` with any number of leading dimensions.
      kernel: ``(h, w, C)`` of the same dtype.
      stride: the same along both axes.
      padding: ``"tf_same"``, ``"symmetric"``, ``"valid"`` or pairs
        ``((top, bottom), (left, right))``.

    Returns:
      ``(..., H', W', C)`` in the dtype of the arguments. Half precision is accumulated
      in float32.

    Raises:
      ValueError: for other ranks, channels or dtypes, or a kernel larger than the
        padded images.
    """
    if images.ndim < 3 or kernel.ndim != 3:
        raise fail("kernel", "(h, w, C) for images (..., H, W, C)", kernel)
    if images.shape[-1] != kernel.shape[-1] or images.dtype != kernel.dtype:
        raise fail("kernel", f"{images.dtype}[h, w, {images.shape[-1]}]", kernel)
    return _depthwise(images, kernel, of_shapes(images, kernel, stride, padding))


# Sums of shifted products.


def _convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    wide = images.astype(accumulator(images.dtype))
    return _weigh(shifts(wide, geometry), kernel).astype(images.dtype)


def _weigh(pixels: list[Array], kernel: Array) -> Array:
    taps = kernel.astype(pixels[0].dtype).reshape(len(pixels), kernel.shape[-1])
    products = [
        x * lax.broadcast_in_dim(tap, x.shape, (x.ndim - 1,))
        for tap, x in zip(taps, pixels, strict=True)
    ]
    return apart(functools.reduce(jnp.add, products))


def _to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    """One flipped convolution for each phase of the stride, interleaved.

    The pixels ``stride·q + phase`` meet every ``stride``-th tap only, so dilating the
    cotangent with zeros would multiply mostly zeros.
    """
    stride, size = geometry.stride, geometry.size
    axes = [phases(geometry, axis) for axis in (0, 1)]
    wide = cotangent.astype(accumulator(cotangent.dtype))
    wide = lax.optimization_barrier(pad(wide, tuple(axis.margins for axis in axes)))

    def phase(*offsets: int) -> Array:
        rows, columns = (p.pixels[a] for p, a in zip(axes, offsets, strict=True))
        i, j = (p.first[a] for p, a in zip(axes, offsets, strict=True))
        taps = kernel[i::stride, j::stride]
        if 0 in taps.shape:  # a kernel narrower than the stride skips these pixels
            taps = jnp.zeros((len(rows), len(columns), kernel.shape[-1]), kernel.dtype)
        return _weigh([wide[..., y, x, :] for y in rows for x in columns], taps)

    return of_phases(phase, stride, size).astype(cotangent.dtype)


def _to_kernel(images: Array, cotangent: Array, geometry: Geometry) -> Array:
    accumulate = accumulator(images.dtype)
    cotangent = cotangent.astype(accumulate)
    axes = tuple(range(images.ndim - 1))
    pixels = shifts(images.astype(accumulate), geometry)
    taps = jnp.stack([jnp.sum(x * cotangent, axes) for x in pixels])
    return taps.reshape(*geometry.window, -1).astype(images.dtype)


# XLA's grouped convolution.


def _grouped_convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    kernel = jnp.expand_dims(kernel, 2)
    return xla_convolve(images, kernel, geometry, groups=kernel.shape[-1])


def _more_channels(
    function: Callable[[Array, Array], Array],
    arguments: tuple[Array, Array],
    axes: tuple[int | None, int | None],
) -> tuple[Array, int]:
    """``vmap`` over the kernel: its axis is more channels."""
    pairs = list(zip(arguments, axes, strict=True))
    size = next(a.shape[d] for a, d in pairs if d is not None)
    folded = []
    for array, dim in pairs:
        if dim is None:
            shape = (*array.shape[:-1], size, array.shape[-1])
            array = jnp.broadcast_to(jnp.expand_dims(array, -2), shape)
        else:
            array = jnp.moveaxis(array, dim, -2)
        *others, channels = array.shape
        folded.append(array.reshape(*others[:-1], size * channels))
    result = function(*folded)
    *others, channels = result.shape
    return result.reshape(*others, size, channels // size), result.ndim - 1


_shifted = Trilinear(_convolve, _to_images, _to_kernel)
_grouped = transposed(
    _grouped_convolve,
    lambda images, _, geometry: (*geometry.window, images.shape[-1]),
)
_depthwise = define(
    "depthwise_conv",
    default=_grouped,
    on=dict.fromkeys(("cpu", "cuda", "rocm"), _shifted),
    fold=_more_channels,
)
