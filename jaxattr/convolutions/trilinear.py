"""Convolutions as JAX primitives, in threes that differentiate into each other.

A convolution, whatever it does with channels, comes from a trilinear form

    t(x, k, g) = Σ_{o, i} x[stride·o + i] · k[i] · g[o]     (x padded with zeros)

whose derivatives in ``g``, ``x`` and ``k`` are the convolution, its input gradient (the
transposed convolution) and its kernel gradient. Each of the three is bilinear, and
transposing one gives the other two: the family is closed under ``jvp`` and ``vjp``, in
any order. So a fast way to compute the three is fast at every order, which is
more than a custom derivative gives. The platform is looked at when a program is lowered.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla
from jax.sharding import NamedSharding, PartitionSpec

from jaxattr._checks import fail
from jaxattr.convolutions.padding import Padding, Pairs, explicit_padding, pad
from jaxattr.typing import Array

Sizes = tuple[int, ...]
Spec = tuple[str | tuple[str, ...] | None, ...]
"""The mesh axes that each axis of an array is sharded over."""


class Geometry(NamedTuple):
    """What the shapes of a convolution's arguments do not say, and some that they do."""

    stride: int
    pads: Pairs
    size: Sizes  # of the images
    window: Sizes  # of the kernel
    output: Sizes
    groups: int = 1  # of channels that do not meet


Bilinear = Callable[[Array, Array, Geometry], Array]


class Trilinear(NamedTuple):
    """One way to compute a convolution of images ``(..., H, W, C)`` and its gradients."""

    convolve: Bilinear
    """Of images and kernel."""
    to_images: Bilinear
    """The input gradient, of kernel and cotangent."""
    to_kernel: Bilinear
    """The kernel gradient, of images and cotangent."""


Fold = Callable[
    [
        Callable[[Array, Array], Array],
        tuple[Array, Array],
        tuple[int | None, int | None],
    ],
    tuple[Array, int],
]


def of_shapes(images: Array, kernel: Array, stride: int, padding: Padding) -> Geometry:
    """The geometry of a convolution.

    Raises:
      ValueError: for integers, a kernel larger than the padded images, or unknown
        padding.
    """
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise fail("images", "floating point", images)
    size, window = images.shape[-3:-1], kernel.shape[:2]
    pads = explicit_padding(padding, size, window, stride)
    output = tuple(
        (n + sum(p) - w) // stride + 1
        for n, w, p in zip(size, window, pads, strict=True)
    )
    if min(output) < 1:
        raise fail("images", f"at least {window} pixels after padding", images)
    return Geometry(stride, pads, size, window, output)


def define(
    name: str,
    default: Trilinear,
    on: Mapping[str, Trilinear],
    fold: Fold | None = None,
) -> Callable[[Array, Array, Geometry], Array]:
    """A differentiable convolution of ``(images, kernel, geometry)``.

    Args:
      name: of the primitives.
      default: how it is computed where the platform is not in ``on``, and where the
        arguments are sharded along other than leading axes and channels. It is traced
        for shape, dtype and sharding of the results.
      on: how it is computed, by platform.
      fold: of a function, its two arguments and their axes, the result and its axis:
        the rule for ``vmap`` where the kernel, or all that the kernel comes from, has an
        axis. Without it that is left to ``default``. An axis of the images alone is one
        more leading one.
    """
    three = [_primitive(name, field, default, on) for field in Trilinear._fields]
    convolve, to_images, to_kernel = three
    # Convolve takes (x, k), to_images takes (k, g), to_kernel takes (x, g).
    ad.defbilinear(
        convolve,
        lambda g, x, k, *, geometry: to_images.bind(k, g, geometry=geometry),
        lambda g, x, k, *, geometry: to_kernel.bind(x, g, geometry=geometry),
    )
    ad.defbilinear(
        to_images,
        lambda x, k, g, *, geometry: to_kernel.bind(x, g, geometry=geometry),
        lambda x, k, g, *, geometry: convolve.bind(x, k, geometry=geometry),
    )
    ad.defbilinear(
        to_kernel,
        lambda k, x, g, *, geometry: to_images.bind(k, g, geometry=geometry),
        lambda k, x, g, *, geometry: convolve.bind(x, k, geometry=geometry),
    )
    for primitive, function, kernel_at in zip(
        three, default, (1, 0, None), strict=True
    ):
        batching.primitive_batchers[primitive] = functools.partial(
            _vmap, primitive, function, kernel_at, fold
        )

    def call(images: Array, kernel: Array, geometry: Geometry) -> Array:
        images, kernel = _equally_varying(images, kernel)
        return convolve.bind(images, kernel, geometry=geometry)

    return call


def _primitive(
    name: str, field: str, default: Trilinear, on: Mapping[str, Trilinear]
) -> Primitive:
    primitive = Primitive(f"{name}_{field}")
    primitive.def_impl(functools.partial(xla.apply_primitive, primitive))

    @primitive.def_abstract_eval
    def abstract_eval(
        *avals: jax.core.AbstractValue, geometry: Geometry
    ) -> jax.core.AbstractValue:
        function = functools.partial(getattr(default, field), geometry=geometry)
        return jax.make_jaxpr(function)(*avals).out_avals[0]

    def lower(way: Trilinear, *arguments: Array, geometry: Geometry) -> Array:
        if any(any(_spec(a)[-3:-1]) for a in arguments):
            way = default
        return getattr(way, field)(*arguments, geometry)

    for platform, way in ((None, default), *on.items()):
        rule = mlir.lower_fun(functools.partial(lower, way), multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


def _vmap(
    primitive: Primitive,
    default: Bilinear,
    kernel_at: int | None,
    fold: Fold | None,
    arguments: tuple[Array, Array],
    axes: tuple[int | None, int | None],
    *,
    geometry: Geometry,
) -> tuple[Array, int]:
    if kernel_at is not None and axes[kernel_at] is None:
        pairs = zip(arguments, axes, strict=True)
        moved = [a if d is None else jnp.moveaxis(a, d, 0) for a, d in pairs]
        return primitive.bind(*moved, geometry=geometry), 0
    if fold is not None:
        bound = functools.partial(primitive.bind, geometry=geometry)
        return fold(bound, arguments, axes)
    return jax.vmap(lambda a, b: default(a, b, geometry), axes)(*arguments), 0


# What ways are made of.


def shifts(images: Array, geometry: Geometry) -> list[Array]:
    """For each kernel position, row by row, the pixels that it meets."""
    stride, pads, _, (height, width), output, _ = geometry
    # Without the barrier XLA may fuse whatever made the images, the padding's branches
    # too, into every one of them.
    images = lax.optimization_barrier(pad(images, pads))
    rows, columns = ((n - 1) * stride + 1 for n in output)
    return [
        images[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(height)
        for j in range(width)
    ]


def xla_convolve(
    images: Array, kernel: Array, geometry: Geometry, groups: int = 1
) -> Array:
    """XLA's convolution with a kernel ``(h, w, I / groups, O)``."""
    pads = geometry.pads
    windows = zip(pads, geometry.window, strict=True)
    if not all(0 <= p < w for pair, w in windows for p in pair):
        # Compiled for CPU, XLA's convolutions may read outside of their operands where
        # they crop (openxla/xla issue 48713); a margin as wide as the window crops in
        # the transpose.
        images = lax.optimization_barrier(pad(images, pads))
        pads = ((0, 0), (0, 0))
    leading = images.shape[:-3]
    if len(leading) != 1:
        images = images.reshape(math.prod(leading), *images.shape[-3:])
    # XLA accumulates half precision in float32 by itself; asking for a float32 result
    # would leave no transpose, which takes no cotangent wider than its operands.
    result = lax.conv_general_dilated(
        images,
        kernel,
        (geometry.stride, geometry.stride),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return result.reshape(*leading, *result.shape[1:])


def transposed(
    convolve: Bilinear, kernel_shape: Callable[[Array, Array, Geometry], Sizes]
) -> Trilinear:
    """All three from the first, which XLA knows how to transpose.

    Args:
      convolve: of images and kernel.
      kernel_shape: of images, cotangent and geometry.
    """

    def to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
        kernel, cotangent = _equally_varying(kernel, cotangent)
        channels = kernel.shape[2] * geometry.groups
        shape = (*cotangent.shape[:-3], *geometry.size, channels)
        images = _zeros(shape, (*_spec(cotangent)[:-1], None), cotangent)
        transpose = jax.linear_transpose(
            lambda images: convolve(images, kernel, geometry), images
        )
        return transpose(cotangent)[0]

    def to_kernel(images: Array, cotangent: Array, geometry: Geometry) -> Array:
        images, cotangent = _equally_varying(images, cotangent)
        shape = kernel_shape(images, cotangent, geometry)
        kernel = _zeros(shape, (None,) * len(shape), images)
        transpose = jax.linear_transpose(
            lambda kernel: convolve(images, kernel, geometry), kernel
        )
        return transpose(cotangent)[0]

    return Trilinear(convolve, to_images, to_kernel)


def _spec(array: Array) -> Spec:
    """How each axis is sharded over a mesh of explicit axes."""
    spec = tuple(jax.typeof(array).sharding.spec)
    return spec + (None,) * (array.ndim - len(spec))


def _zeros(shape: Sizes, spec: Spec, like: Array) -> Array:
    """Of the dtype of ``like``, on its mesh and varying as it does."""
    mesh = jax.typeof(like).sharding.mesh
    if mesh.empty:
        return lax.full_like(like, 0, shape=shape)
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    with jax.sharding.use_abstract_mesh(mesh):
        return lax.full_like(like, 0, shape=shape, sharding=sharding)


def _equally_varying(a: Array, b: Array) -> tuple[Array, Array]:
    """Inside ``shard_map``: both vary over the mesh axes that either varies over.

    Around the primitives, since its transpose is a sum over devices.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return a, b
    return (
        a + lax.full_like(b, 0, shape=a.shape),
        b + lax.full_like(a, 0, shape=b.shape),
    )
