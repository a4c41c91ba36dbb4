"""The ordinary convolution: XLA's, and what is faster than that on CPU.

It is one of the convolutions of ``trilinear``, so what holds for its values holds for
its derivatives of any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxattr._checks import fail
from jaxattr._dtypes import accumulator
from jaxattr.models import winograd
from jaxattr.models.padding import Padding, pad
from jaxattr.models.trilinear import Geometry, Three, define, of_shapes, transposed
from jaxattr.typing import Array

SHALLOW = 4
"""Images of at most so many channels: what a network is given."""


PATCH = 32
"""Windows of at most so many numbers."""


def conv(
    images: Array,
    kernel: Array,
    *,
    stride: int = 1,
    padding: Padding = "tf_same",
    groups: int = 1,
) -> Array:
    """``y[o] = Σ_i x[stride·o + i] k[i]``, every product a sum over channels.

    Args:
      images: ``(..., H, W, I)`` with any number of leading dimensions.
      kernel: ``(h, w, I / groups, O)`` of the same dtype.
      stride: the same along both axes.
      padding: ``"tf_same"``, ``"symmetric"``, ``"valid"`` or pairs
        ``((top, bottom), (left, right))``.
      groups: of channels that do not meet; more than one are left to XLA.

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
        return _xla_convolve(images, kernel, geometry, groups)
    return _dense(images, kernel, geometry)


def _xla_convolve(
    images: Array, kernel: Array, geometry: Geometry, groups: int = 1
) -> Array:
    leading = images.shape[:-3]
    if len(leading) != 1:
        images = images.reshape(math.prod(leading), *images.shape[-3:])
    # XLA accumulates half precision in float32 by itself; asking for a float32 result
    # would leave no transpose, which takes no cotangent wider than its operands.
    result = lax.conv_general_dilated(
        images,
        kernel,
        (geometry.stride, geometry.stride),
        geometry.pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return result.reshape(*leading, *result.shape[1:])


def _kernel_shape(
    images: Array, cotangent: Array, geometry: Geometry
) -> tuple[int, ...]:
    return (*geometry.window, images.shape[-1], cotangent.shape[-1])


_xla = transposed(_xla_convolve, _kernel_shape)


# For CPU.


def _convolve(images: Array, kernel: Array, geometry: Geometry) -> Array:
    if winograd.pays(images, kernel, geometry):
        return winograd.convolve(images, kernel, geometry)
    if _strides_over_shallow(kernel, geometry) and math.prod(kernel.shape[:3]) <= PATCH:
        return _convolve_patches(images, kernel, geometry)
    return _xla.convolve(images, kernel, geometry)


def _strides_over_shallow(kernel: Array, geometry: Geometry) -> bool:
    """Whether it is the first layer of many a network."""
    return geometry.stride > 1 and kernel.shape[2] <= SHALLOW


def _convolve_patches(images: Array, kernel: Array, geometry: Geometry) -> Array:
    """One matrix product with the pixels of every window side by side."""
    stride, pads, _, (height, width), output = geometry
    images = lax.optimization_barrier(pad(images, pads))
    rows, columns = ((n - 1) * stride + 1 for n in output)
    windows = [
        images[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(height)
        for j in range(width)
    ]
    accumulate = accumulator(images.dtype)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    result = jnp.matmul(
        jnp.concatenate(windows, -1), matrix, preferred_element_type=accumulate
    )
    return result.astype(images.dtype)


def _to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    if winograd.pays(cotangent, kernel, geometry._replace(output=geometry.size)):
        return winograd.to_images(kernel, cotangent, geometry)
    if _strides_over_shallow(kernel, geometry):
        return _to_shallow_images(kernel, cotangent, geometry)
    return _xla.to_images(kernel, cotangent, geometry)


def _to_shallow_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
    """One convolution without stride to the channels of all phases, interleaved.

    With the kernel moved to where pixel ``stride·q + phase`` meets the taps
    ``stride·t + phase``,

        x[stride·q + phase] = Σ_t k[stride·t + phase] g[q + first - t].

    XLA would dilate the cotangent with zeros, and find few columns to work on.
    """
    stride, pads, size, window, output = geometry
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
    interleaved = _xla.convolve(
        cotangent,
        phases.reshape(*taps, outputs, -1),
        Geometry(1, tuple(margins), output, tuple(taps), tuple(quotient)),
    )
    # One axis at a time, for shardings.
    shape = (*cotangent.shape[:-3], *quotient, stride, stride, inputs)
    x = jnp.moveaxis(interleaved.reshape(shape), -3, -4)
    x = x.reshape(*x.shape[:-5], -1, *x.shape[-3:])
    x = x.reshape(*x.shape[:-3], -1, inputs)
    return x[..., : size[0], : size[1], :]


def _vmap_kernel(
    member: Callable[[Array, Array], Array],
    default: Callable[[Array, Array], Array],
    arguments: tuple[Array, Array],
    axes: tuple[int | None, int | None],
) -> tuple[Array, int]:
    """XLA's convolutions take groups, which is what an axis of the kernel makes."""
    del member
    return jax.vmap(default, axes)(*arguments), 0


_dense = define(
    "convolution",
    default=_xla,
    on={"cpu": Three(_convolve, _to_images, _xla.to_kernel)},
    typed=_xla,
    vmap_kernel=_vmap_kernel,
)
