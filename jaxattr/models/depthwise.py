"""Depthwise convolution that is fast on CPU and GPU, at every order of differentiation.

XLA's grouped convolution is 10 to 40 times slower on CPU than the same sum of shifted
products, and a whole network of them is several times slower on GPU (``docs/models.md``).
Differentiating that sum turns its slices into pads, which XLA does not vectorise. So it
is one of the convolutions of ``trilinear``, and each of its three members is written so
that it compiles well: sums of shifted products on CPU and GPU, XLA's convolutions
elsewhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxattr._checks import fail
from jaxattr._dtypes import accumulator
from jaxattr.models.padding import Padding, pad
from jaxattr.models.trilinear import Geometry, Three, define, of_shapes, transposed
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


def _shifts(images: Array, geometry: Geometry) -> list[Array]:
    """For each kernel position, row by row, the pixels that it meets."""
    stride, pads, _, (height, width), output = geometry
    # Without the barrier XLA may fuse whatever made the images, the padding's branches
    # too, into every tap.
    images = lax.optimization_barrier(pad(images, pads))
    rows, columns = ((n - 1) * stride + 1 for n in output)
    return [
        images[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(height)
        for j in range(width)
    ]


def _convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    accumulate = accumulator(images.dtype)
    taps = kernel.astype(accumulate).reshape(-1, kernel.shape[-1])
    shifts = _shifts(images.astype(accumulate), geometry)
    products = [
        shift * lax.broadcast_in_dim(tap, shift.shape, (shift.ndim - 1,))
        for tap, shift in zip(taps, shifts, strict=True)
    ]
    return functools.reduce(jnp.add, products).astype(images.dtype)


def _to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    """One flipped convolution for each phase of the stride, interleaved.

    The pixels ``stride·q + phase`` meet every ``stride``-th tap only, so dilating the
    cotangent with zeros would multiply mostly zeros.
    """
    stride, pads, size, _, output = geometry
    quotient = tuple(-(-n // stride) for n in size)

    def phase(offsets: tuple[int, int]) -> Array:
        first = [(a + p[0]) % stride for a, p in zip(offsets, pads, strict=True)]
        taps = kernel[first[0] :: stride, first[1] :: stride][::-1, ::-1]
        if 0 in taps.shape:  # a kernel narrower than the stride skips these pixels
            taps = jnp.zeros((1, 1, kernel.shape[-1]), kernel.dtype)
        margins = []
        for a, p, i, t, m, n in zip(
            offsets, pads, first, taps.shape, quotient, output, strict=False
        ):
            low = t - 1 - (a + p[0] - i) // stride
            margins.append((low, m + t - 1 - low - n))
        phased = Geometry(1, tuple(margins), output, taps.shape[:2], quotient)
        return _convolve(cotangent, taps, phased)

    if stride == 1:
        return phase((0, 0))
    rows = [
        _interleave([phase((a, b)) for b in range(stride)], axis=-2)
        for a in range(stride)
    ]
    return _interleave(rows, axis=-3)[..., : size[0], : size[1], :]


def _interleave(arrays: list[Array], axis: int) -> Array:
    """``[a₀ b₀ a₁ b₁ …]`` along an axis counted from the end."""
    stacked = jnp.stack(arrays, axis)
    shape = list(arrays[0].shape)
    shape[axis] *= len(arrays)
    return stacked.reshape(shape)


def _to_kernel(images: Array, cotangent: Array, geometry: Geometry) -> Array:
    accumulate = accumulator(images.dtype)
    cotangent = cotangent.astype(accumulate)
    axes = tuple(range(images.ndim - 1))
    shifts = _shifts(images.astype(accumulate), geometry)
    taps = jnp.stack([jnp.sum(shift * cotangent, axes) for shift in shifts])
    return taps.reshape(*geometry.window, -1).astype(images.dtype)


# XLA's convolutions.


def _grouped_convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    leading = images.shape[:-3]
    if len(leading) != 1:
        images = images.reshape(math.prod(leading), *images.shape[-3:])
    result = lax.conv_general_dilated(
        images,
        jnp.expand_dims(kernel, 2),
        (geometry.stride, geometry.stride),
        geometry.pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )
    return result.reshape(*leading, *result.shape[1:])


def _kernel_shape(images: Array, _: Array, geometry: Geometry) -> tuple[int, ...]:
    return (*geometry.window, images.shape[-1])


def _more_channels(
    member: Callable[[Array, Array], Array],
    default: Callable[[Array, Array], Array],
    arguments: tuple[Array, Array],
    axes: tuple[int | None, int | None],
) -> tuple[Array, int]:
    """An axis of the kernel is more channels."""
    del default
    pairs = list(zip(arguments, axes, strict=True))
    size = next(a.shape[d] for a, d in pairs if d is not None)
    folded = []
    for array, dim in pairs:
        if dim is None:
            shape = (*array.shape[:-1], size, array.shape[-1])
            array = jnp.broadcast_to(jnp.expand_dims(array, -2), shape)
        else:
            array = jnp.moveaxis(array, dim, -2)
        folded.append(array.reshape(*array.shape[:-2], -1))
    result = member(*folded)
    return result.reshape(*result.shape[:-1], size, -1), result.ndim - 1


_shifted = Three(_convolve, _to_images, _to_kernel)
_grouped = transposed(_grouped_convolve, _kernel_shape)
_depthwise = define(
    "depthwise",
    default=_grouped,
    on=dict.fromkeys(("cpu", "cuda", "rocm"), _shifted),
    typed=_shifted,
    vmap_kernel=_more_channels,
)
