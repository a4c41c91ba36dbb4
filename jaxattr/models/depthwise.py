"""Depthwise convolution that is fast on CPU and GPU, at every order of differentiation.

XLA's grouped convolution is 10 to 40 times slower on CPU than the same sum of shifted
products, and a whole network of them is several times slower on GPU (``docs/models.md``).
Differentiating that sum turns its slices into pads, which XLA does not vectorise. So the
convolution is a primitive here. It comes from the trilinear form

    t(x, k, g) = Σ_{o, i} x[stride·o + i] · k[i] · g[o]     (x padded with zeros)

whose derivatives in ``g``, ``x`` and ``k`` are the convolution, its transpose to the
image and its transpose to the kernel. Each of the three is bilinear, and transposing
one gives the other two: the family is closed under ``jvp`` and ``vjp``, in any order,
and each member is written so that it compiles well. The platform is looked at when a
program is lowered: sums of shifted products on CPU and GPU, XLA's convolutions
elsewhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla

from jaxattr._checks import fail
from jaxattr.models.padding import Padding, Pairs, explicit_padding
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
    size, window = images.shape[-3:-1], kernel.shape[:2]
    pads = explicit_padding(padding, size, window, stride)
    output = tuple(
        (n + sum(p) - w) // stride + 1
        for n, w, p in zip(size, window, pads, strict=True)
    )
    if min(output) < 1:
        raise fail("images", f"at least {window} pixels after padding", images)
    images, kernel = _equally_varying(images, kernel)
    geometry = _Geometry(stride, pads, size, window, output)
    return _convolve_p.bind(images, kernel, geometry=geometry)


class _Geometry(NamedTuple):
    stride: int
    pads: Pairs
    size: tuple[int, ...]  # of the images
    window: tuple[int, ...]  # of the kernel
    output: tuple[int, ...]


# Sums of shifted products, for CPU and GPU.


def _shifts(images: Array, geometry: _Geometry) -> list[Array]:
    """For each kernel position, row by row, the pixels that it meets."""
    stride, pads, _, (height, width), output = geometry
    # Without the barrier XLA may fuse whatever made the images, the padding's branches
    # too, into every tap.
    images = lax.optimization_barrier(_pad(images, pads))
    rows, columns = ((n - 1) * stride + 1 for n in output)
    return [
        images[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(height)
        for j in range(width)
    ]


def _shifted_convolve(images: Array, kernel: Array, geometry: _Geometry) -> Array:
    accumulate = accumulator(images.dtype)
    taps = kernel.astype(accumulate).reshape(-1, kernel.shape[-1])
    shifts = _shifts(images.astype(accumulate), geometry)
    products = [
        shift * lax.broadcast_in_dim(tap, shift.shape, (shift.ndim - 1,))
        for tap, shift in zip(taps, shifts, strict=True)
    ]
    return functools.reduce(jnp.add, products).astype(images.dtype)


def _shifted_to_images(kernel: Array, cotangent: Array, geometry: _Geometry) -> Array:
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
        phased = _Geometry(1, tuple(margins), output, taps.shape[:2], quotient)
        return _shifted_convolve(cotangent, taps, phased)

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


def _shifted_to_kernel(images: Array, cotangent: Array, geometry: _Geometry) -> Array:
    accumulate = accumulator(images.dtype)
    cotangent = cotangent.astype(accumulate)
    axes = tuple(range(images.ndim - 1))
    shifts = _shifts(images.astype(accumulate), geometry)
    taps = jnp.stack([jnp.sum(shift * cotangent, axes) for shift in shifts])
    return taps.reshape(*geometry.window, -1).astype(images.dtype)


# XLA's convolutions, for everything else.


def _grouped_convolve(images: Array, kernel: Array, geometry: _Geometry) -> Array:
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


def _grouped_to_images(kernel: Array, cotangent: Array, geometry: _Geometry) -> Array:
    shape = (*cotangent.shape[:-3], *geometry.size, cotangent.shape[-1])
    images = jax.ShapeDtypeStruct(shape, cotangent.dtype)

    def convolve(images: Array) -> Array:
        return _grouped_convolve(images, kernel, geometry)

    return jax.linear_transpose(convolve, images)(cotangent)[0]


def _grouped_to_kernel(images: Array, cotangent: Array, geometry: _Geometry) -> Array:
    shape = (*geometry.window, images.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, images.dtype)

    def convolve(kernel: Array) -> Array:
        return _grouped_convolve(images, kernel, geometry)

    return jax.linear_transpose(convolve, kernel)(cotangent)[0]


# The three primitives and how they transpose into each other.


def _define(name: str, shifted: Callable, grouped: Callable) -> Primitive:
    primitive = Primitive(f"depthwise_{name}")
    primitive.def_impl(functools.partial(xla.apply_primitive, primitive))

    @primitive.def_abstract_eval
    def abstract_eval(*avals: Any, geometry: _Geometry) -> Any:
        # Shape, dtype, sharding and varying axes: those of the sum that it stands for.
        trace = jax.make_jaxpr(functools.partial(shifted, geometry=geometry))
        return trace(*avals).out_avals[0]

    rule = mlir.lower_fun(grouped, multiple_results=False)
    mlir.register_lowering(primitive, rule)
    for platform in ("cpu", "cuda", "rocm"):
        rule = mlir.lower_fun(shifted, multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


_convolve_p = _define("convolve", _shifted_convolve, _grouped_convolve)
_to_images_p = _define("to_images", _shifted_to_images, _grouped_to_images)
_to_kernel_p = _define("to_kernel", _shifted_to_kernel, _grouped_to_kernel)

# Convolve takes (x, k), to_images takes (k, g), to_kernel takes (x, g).
ad.defbilinear(
    _convolve_p,
    lambda g, x, k, *, geometry: _to_images_p.bind(k, g, geometry=geometry),
    lambda g, x, k, *, geometry: _to_kernel_p.bind(x, g, geometry=geometry),
)
ad.defbilinear(
    _to_images_p,
    lambda x, k, g, *, geometry: _to_kernel_p.bind(x, g, geometry=geometry),
    lambda x, k, g, *, geometry: _convolve_p.bind(x, k, geometry=geometry),
)
ad.defbilinear(
    _to_kernel_p,
    lambda k, x, g, *, geometry: _to_images_p.bind(k, g, geometry=geometry),
    lambda k, x, g, *, geometry: _convolve_p.bind(x, k, geometry=geometry),
)


def _batch(
    primitive: Primitive,
    kernel_at: int | None,
    args: tuple[Array, ...],
    dims: tuple[int | None, ...],
    *,
    geometry: _Geometry,
) -> tuple[Array, int]:
    """An axis of the images is one more leading axis; of the kernel, more channels."""
    pairs = list(zip(args, dims, strict=True))
    if kernel_at is not None and dims[kernel_at] is None:
        moved = [a if d is None else jnp.moveaxis(a, d, 0) for a, d in pairs]
        return primitive.bind(*moved, geometry=geometry), 0
    size = next(a.shape[d] for a, d in pairs if d is not None)
    folded = []
    for array, dim in pairs:
        if dim is None:
            shape = (*array.shape[:-1], size, array.shape[-1])
            array = jnp.broadcast_to(jnp.expand_dims(array, -2), shape)
        else:
            array = jnp.moveaxis(array, dim, -2)
        folded.append(array.reshape(*array.shape[:-2], -1))
    result = primitive.bind(*folded, geometry=geometry)
    return result.reshape(*result.shape[:-1], size, -1), result.ndim - 1


for _primitive, _kernel_at in (
    (_convolve_p, 1),
    (_to_images_p, 0),
    (_to_kernel_p, None),
):
    batching.primitive_batchers[_primitive] = functools.partial(
        _batch, _primitive, _kernel_at
    )


def _pad(images: Array, margins: tuple[tuple[int, int], ...]) -> Array:
    none = (0, 0, 0)
    config = [none] * (images.ndim - 3) + [(*pair, 0) for pair in margins] + [none]
    return lax.pad(images, jnp.zeros((), images.dtype), config)


def accumulator(dtype: Any) -> Any:
    """What sums of products of ``dtype`` are kept in: float32 or wider."""
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def _equally_varying(images: Array, kernel: Array) -> tuple[Array, Array]:
    """Inside ``shard_map``: both vary over the mesh axes that either varies over.

    It is here and not in the primitives because its transpose is a sum over devices.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return images, kernel
    return (
        images + lax.full_like(kernel, 0, shape=images.shape),
        kernel + lax.full_like(images, 0, shape=kernel.shape),
    )
