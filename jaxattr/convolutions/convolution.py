"""The ordinary convolution: XLA's, and what is faster than that on CPU.

It is one of the convolutions of ``trilinear``, so what holds for its values holds for
its derivatives of any order. How much each way gains stands in ``docs/models.md``.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxattr._checks import fail
from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions import grouped, winograd
from jaxattr.convolutions.padding import Padding
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

MAX_SHALLOW = 4
"""Channels of what a network is given, at most."""
MAX_PATCH = 32
"""Numbers in a window that is multiplied as one row of a matrix, at most."""


def conv(
    images: Array,
    kernel: Array,
    *,
    stride: int = 1,
    padding: Padding = "tf_same",
    groups: int = 1,
) -> Array:
    """``y[o] = Σ_i x[stride·o + i] k[i]``, every product a sum over channels.

    On CPU zeros that come from cancelling are as rounded as other values, and an
    infinity makes NaN of what sees it.

    Args:
      images: ``(..., H, W, I)`` with any number of leading dimensions.
      kernel: ``(h, w, I / groups, O)`` of the same dtype.
      stride: the same along both axes.
      padding: ``"tf_same"``, ``"symmetric"``, ``"valid"`` or pairs
        ``((top, bottom), (left, right))``.
      groups: of channels that do not meet.

    Returns:
      ``(..., H', W', O)`` in the dtype of the arguments. Half precision is accumulated
      in float32.

    Raises:
      ValueError: for other ranks, channels or dtypes, or a kernel larger than the
        padded images.
    """
    if images.ndim < 3 or kernel.ndim != 4:
        raise fail("kernel", "(h, w, I, O) for images (..., H, W, I)", kernel)
    if images.shape[-1] != kernel.shape[2] * groups or images.dtype != kernel.dtype:
        inputs = images.shape[-1] / groups
        raise fail("kernel", f"{images.dtype}[h, w, {inputs:g}, O]", kernel)
    geometry = of_shapes(images, kernel, stride, padding)
    if groups != 1:
        return _grouped_conv(images, kernel, geometry._replace(groups=groups))
    return _conv(images, kernel, geometry)


def _convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    if winograd.pays(images, kernel, geometry, geometry.output):
        return winograd.convolve(images, kernel, geometry)
    patch = math.prod(kernel.shape[:3])
    if _strides_over_shallow(kernel, geometry) and patch <= MAX_PATCH:
        return _convolve_patches(images, kernel, geometry)
    if _larger_pays(images, geometry):
        return _convolve_larger(images, kernel, geometry)
    if geometry.pads == ((0, 0), (0, 0)) and geometry.window != (1, 1):
        return _convolve_one_wider(images, kernel, geometry)
    return _xla.convolve(images, kernel, geometry)


def _to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    if winograd.pays(cotangent, kernel, geometry, geometry.size):
        return winograd.to_images(kernel, cotangent, geometry)
    if _strides_over_shallow(kernel, geometry):
        return _to_shallow_images(kernel, cotangent, geometry)
    if _larger_pays(cotangent, turned := _turned(geometry)):
        kernel = kernel[::-1, ::-1].swapaxes(2, 3)
        return _convolve_larger(cotangent, kernel, turned)
    return _xla.to_images(kernel, cotangent, geometry)


def _strides_over_shallow(kernel: Array, geometry: Geometry) -> bool:
    """Whether it is like the first layer of many a network."""
    return geometry.stride > 1 and kernel.shape[2] <= MAX_SHALLOW


def _convolve_patches(images: Array, kernel: Array, geometry: Geometry) -> Array:
    """One matrix product with the pixels of every window side by side."""
    result = jnp.matmul(
        jnp.concatenate(shifts(images, geometry), -1),
        kernel.reshape(-1, kernel.shape[-1]),
        preferred_element_type=accumulator(images.dtype),
    )
    return result.astype(images.dtype)


def _larger_pays(images: Array, geometry: Geometry) -> bool:
    """Whether XLA would leave the convolution to YNNPACK.

    That library takes what is no larger than the images, in single precision or wider,
    and takes up to four times as long as XLA's own way.
    """
    return (
        geometry.stride == 1
        and geometry.window != (1, 1)
        and jnp.finfo(images.dtype).bits >= 32
        and all(o <= n for o, n in zip(geometry.output, geometry.size, strict=True))
    )


def _convolve_larger(images: Array, kernel: Array, geometry: Geometry) -> Array:
    """Zeros around, for a result one row larger than the images, and rows cut away."""
    axis = 0 if geometry.window[0] > 1 else 1
    window, size = geometry.window[axis], geometry.size[axis]
    pads, output = list(geometry.pads), list(geometry.output)
    low, _ = pads[axis]
    # Together as many zeros as the window is wide, and on no side so many.
    high = min(window - low, window - 1)
    pads[axis], output[axis] = (window - high, high), size + 1
    larger = geometry._replace(pads=tuple(pads), output=tuple(output))
    result = _xla.convolve(images, kernel, larger)
    first = window - high - low
    return lax.slice_in_dim(result, first, first + geometry.output[axis], axis=axis - 3)


def _turned(geometry: Geometry) -> Geometry:
    """That of the input gradient as a convolution of the cotangent, without stride."""
    pads = tuple(
        (w - 1 - low, size - output + low)
        for w, (low, _), size, output in zip(
            geometry.window,
            geometry.pads,
            geometry.size,
            geometry.output,
            strict=True,
        )
    )
    return geometry._replace(pads=pads, size=geometry.output, output=geometry.size)


def _convolve_one_wider(images: Array, kernel: Array, geometry: Geometry) -> Array:
    """A column of zeros, for which YNNPACK takes a way that is several times faster."""
    width = (geometry.size[1] + 1 - geometry.window[1]) // geometry.stride + 1
    wider = geometry._replace(pads=((0, 0), (0, 1)), output=(geometry.output[0], width))
    result = _xla.convolve(images, kernel, wider)
    return result[..., : geometry.output[1], :]


def _to_shallow_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    """One convolution without stride to the channels of all phases, interleaved.

    With the kernel moved to where pixel ``stride·q + phase`` meets the taps
    ``stride·t + phase``,

        x[stride·q + phase] = Σ_t k[stride·t + phase] g[q + first - t].

    XLA would dilate the cotangent with zeros, and find few columns to work on.
    """
    stride, pads, size, window, output, _ = geometry
    first = [-(-low // stride) for low, _ in pads]
    shift = [stride * f - low for f, (low, _) in zip(first, pads, strict=True)]
    taps = [-(-(s + w) // stride) for s, w in zip(shift, window, strict=True)]
    quotient = [-(-n // stride) for n in size]
    after = [stride * t - s - w for t, s, w in zip(taps, shift, window, strict=True)]
    aligned = jnp.pad(kernel, (*zip(shift, after, strict=True), (0, 0), (0, 0)))
    inputs, outputs = kernel.shape[2:]
    # (t, phase, t', phase', I, O) -> (t, t', O, phase, phase', I)
    phases = aligned.reshape(taps[0], stride, taps[1], stride, inputs, outputs)
    phases = phases[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)
    margins = []
    for t, f, q, n in zip(taps, first, quotient, output, strict=True):
        low = t - 1 - f
        margins.append((low, q + t - 1 - n - low))
    x = xla_convolve(
        cotangent,
        phases.reshape(*taps, outputs, stride * stride * inputs),
        Geometry(1, tuple(margins), output, tuple(taps), tuple(quotient)),
    )
    # (..., q, q', (phase, phase', I)) -> (..., q, phase, q', phase', I), and one axis at
    # a time for shardings.
    leading, (rows, columns) = cotangent.shape[:-3], quotient
    x = jnp.moveaxis(x.reshape(*leading, rows, columns, stride, stride, inputs), -3, -4)
    x = x.reshape(*leading, rows * stride, columns, stride, inputs)
    x = x.reshape(*leading, rows * stride, columns * stride, inputs)
    return x[..., : size[0], : size[1], :]


_xla = transposed(
    xla_convolve,
    lambda images, cotangent, geometry: (
        *geometry.window,
        images.shape[-1],
        cotangent.shape[-1],
    ),
)
_on_cpu = Trilinear(_convolve, _to_images, _xla.to_kernel)
_conv = define("conv", default=_xla, on={"cpu": _on_cpu})
_grouped_conv = define(
    "grouped_conv", default=grouped.xla, on={"cpu": grouped.merging(_on_cpu)}
)
