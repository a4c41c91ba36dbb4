"""Convolutions as JAX primitives, in threes that differentiate into each other.

A convolution, whatever it does with channels, comes from a trilinear form

    t(x, k, g) = Σ_{o, i} x[stride·o + i] · k[i] · g[o]     (x padded with zeros)

whose derivatives in ``g``, ``x`` and ``k`` are the convolution, its transpose to the
images and its transpose to the kernel. Each of the three is bilinear, and transposing
one gives the other two: the family is closed under ``jvp`` and ``vjp``, in any order.
So whoever has a fast way to compute the three has it at every order, which is more than
a custom derivative gives. The platform is looked at when a program is lowered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla

from jaxattr._checks import fail
from jaxattr.models.padding import Padding, Pairs, explicit_padding
from jaxattr.typing import Array


class Geometry(NamedTuple):
    """What the shapes of a convolution's arguments do not say, and some that they do."""

    stride: int
    pads: Pairs
    size: tuple[int, ...]  # of the images
    window: tuple[int, ...]  # of the kernel
    output: tuple[int, ...]


def of_shapes(images: Array, kernel: Array, stride: int, padding: Padding) -> Geometry:
    """The geometry of a convolution.

    Raises:
      ValueError: for a kernel larger than the padded images, or unknown padding.
    """
    size, window = images.shape[-3:-1], kernel.shape[:2]
    pads = explicit_padding(padding, size, window, stride)
    output = tuple(
        (n + sum(p) - w) // stride + 1
        for n, w, p in zip(size, window, pads, strict=True)
    )
    if min(output) < 1:
        raise fail("images", f"at least {window} pixels after padding", images)
    return Geometry(stride, pads, size, window, output)


Member = Callable[[Array, Array, Geometry], Array]


class Three(NamedTuple):
    """One way to compute the three, on images ``(..., H, W, C)``."""

    convolve: Member  # of images and kernel
    to_images: Member  # of kernel and cotangent
    to_kernel: Member  # of images and cotangent


class VmapKernel(Protocol):
    """A rule for ``vmap`` where the kernel, or all that the kernel comes from, has one."""

    def __call__(
        self,
        member: Callable[[Array, Array], Array],
        default: Callable[[Array, Array], Array],
        arguments: tuple[Array, Array],
        axes: tuple[int | None, int | None],
    ) -> tuple[Array, int]:
        """The result and its new axis."""


def define(
    name: str,
    *,
    default: Three,
    on: Mapping[str, Three],
    typed: Three,
    vmap_kernel: VmapKernel,
) -> Member:
    """A convolution of ``(images, kernel, geometry)`` from its threes.

    Args:
      name: of the primitives.
      default: the three where the platform is not in ``on``.
      on: by platform.
      typed: traced for shape, dtype, sharding and varying axes of the results.
      vmap_kernel: see there; an axis of the images alone is one more leading one.
    """
    three = [_primitive(f"{name}_{m}", m, default, on, typed) for m in Three._fields]
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
    for primitive, member, kernel_at in zip(three, default, (1, 0, None), strict=True):
        batching.primitive_batchers[primitive] = functools.partial(
            _vmap, primitive, member, kernel_at, vmap_kernel
        )

    def call(images: Array, kernel: Array, geometry: Geometry) -> Array:
        images, kernel = _equally_varying(images, kernel)
        return convolve.bind(images, kernel, geometry=geometry)

    return call


def transposed(convolve: Member, kernel_shape: Callable[..., tuple[int, ...]]) -> Three:
    """The three from the first, which XLA knows how to transpose.

    Args:
      convolve: of images and kernel.
      kernel_shape: of images, cotangent and geometry.
    """

    def to_images(kernel: Array, cotangent: Array, geometry: Geometry) -> Array:
        shape = (*cotangent.shape[:-3], *geometry.size, kernel.shape[2])
        # Sharded and varying as the cotangent is: nothing else is looked at.
        images = jnp.broadcast_to(jnp.zeros_like(cotangent[..., :1, :1, :1]), shape)
        transpose = jax.linear_transpose(
            lambda x: convolve(x, kernel, geometry), images
        )
        return transpose(cotangent)[0]

    def to_kernel(images: Array, cotangent: Array, geometry: Geometry) -> Array:
        shape = kernel_shape(images, cotangent, geometry)
        kernel = lax.full_like(images, 0, shape=shape)
        transpose = jax.linear_transpose(
            lambda k: convolve(images, k, geometry), kernel
        )
        return transpose(cotangent)[0]

    return Three(convolve, to_images, to_kernel)


def _primitive(
    name: str, member: str, default: Three, on: Mapping[str, Three], typed: Three
) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(functools.partial(xla.apply_primitive, primitive))

    @primitive.def_abstract_eval
    def abstract_eval(*avals: Any, geometry: Geometry) -> Any:
        function = functools.partial(getattr(typed, member), geometry=geometry)
        return jax.make_jaxpr(function)(*avals).out_avals[0]

    for platform, three in ((None, default), *on.items()):
        rule = mlir.lower_fun(getattr(three, member), multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


def _vmap(
    primitive: Primitive,
    default: Member,
    kernel_at: int | None,
    vmap_kernel: VmapKernel,
    arguments: tuple[Array, Array],
    axes: tuple[int | None, int | None],
    *,
    geometry: Geometry,
) -> tuple[Array, int]:
    if kernel_at is not None and axes[kernel_at] is None:
        pairs = zip(arguments, axes, strict=True)
        moved = [a if d is None else jnp.moveaxis(a, d, 0) for a, d in pairs]
        return primitive.bind(*moved, geometry=geometry), 0
    return vmap_kernel(
        functools.partial(primitive.bind, geometry=geometry),
        functools.partial(default, geometry=geometry),
        arguments,
        axes,
    )


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
