"""torch's operators on images by the library's own, which are faster on CPU.

torchax hands them to XLA as torch has them, channels first: grouped convolutions and
windowed maxima are slow there. Whatever is not plain (transposed, dilated, of other
ranks) stays torchax's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions.blocks import to_blocks, whole_blocks
from jaxattr.convolutions.convolution import conv
from jaxattr.convolutions.depthwise import depthwise_conv
from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.typing import Array

if TYPE_CHECKING:
    from torchax.tensor import Environment

Ints = Sequence[int]
Operator = Callable[..., Array]
"""One of torch's, with arrays in the place of tensors."""


def replace_operators(env: Environment) -> None:
    """Puts the operators of this file in the place of torchax's, in one environment."""
    import torch

    replacements: dict[object, Callable[[Operator], Operator]] = {
        torch.ops.aten.convolution: convolution,
        torch.nn.functional.max_pool2d: max_pooling,
    }
    for name, replacement in replacements.items():
        own = env._ops[name]
        env._ops[name] = dataclasses.replace(own, func=replacement(own.func))


def convolution(otherwise: Operator) -> Operator:
    """torch's ``aten::convolution``, with ``otherwise`` for what is not plain."""

    def convolve(
        images: Array,
        kernel: Array,
        bias: Array | None,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        transposed: bool,
        output_padding: Ints,
        groups: int,
    ) -> Array:
        plain = (
            images.ndim == kernel.ndim == 4
            and images.dtype == kernel.dtype
            and not transposed
            and len(set(stride)) == 1
            and set(dilation) == {1}
        )
        if not plain:
            return otherwise(
                *(images, kernel, bias, stride, padding, dilation),
                *(transposed, output_padding, groups),
            )
        pads = tuple((n, n) for n in _pair(padding))
        result = _convolve(jnp.moveaxis(images, 1, -1), kernel, stride[0], pads, groups)
        if bias is not None:
            result = result + bias.astype(result.dtype)
        return jnp.moveaxis(result, -1, 1)

    return convolve


def _convolve(
    images: Array,
    kernel: Array,
    stride: int,
    pads: tuple[tuple[int, int], ...],
    groups: int,
) -> Array:
    """``(N, H, W, I)`` and ``(O, I / groups, h, w)`` to ``(N, H', W', O)``."""
    outputs, inputs, *window = kernel.shape
    unpadded = pads == ((0, 0), (0, 0))
    if groups == outputs and inputs == 1 and groups > 1:
        taps = kernel[:, 0].transpose(1, 2, 0)
        return depthwise_conv(images, taps, stride=stride, padding=pads)
    if groups == 1 and unpadded and window == [1, 1]:
        return _product(images[:, ::stride, ::stride], kernel[:, :, 0, 0].T)
    if groups == 1 and unpadded and window == [stride, stride]:
        blocks = to_blocks(whole_blocks(images, stride), stride, stride)
        blocks = jnp.swapaxes(blocks, 2, 3)
        matrix = kernel.transpose(2, 3, 1, 0).reshape(-1, outputs)
        return _product(blocks.reshape(*blocks.shape[:3], -1), matrix)
    return conv(
        images,
        kernel.transpose(2, 3, 1, 0),
        stride=stride,
        padding=pads,
        groups=groups,
    )


def _product(rows: Array, matrix: Array) -> Array:
    result = jnp.matmul(rows, matrix, preferred_element_type=accumulator(rows.dtype))
    return result.astype(rows.dtype)


def max_pooling(otherwise: Operator) -> Operator:
    """``torch.nn.functional.max_pool2d``, with ``otherwise`` for what is not plain."""

    def pool(
        images: Array,
        kernel_size: int | Ints,
        stride: int | Ints | None = None,
        padding: int | Ints = 0,
        dilation: int | Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Array:
        window, margin = _pair(kernel_size), _pair(padding)
        step = window if stride is None or stride == [] else _pair(stride)
        plain = (
            images.ndim == 4
            and jnp.issubdtype(images.dtype, jnp.floating)
            and len(set(window)) == len(set(step)) == 1
            and _pair(dilation) == (1, 1)
            and not return_indices
            # Beyond the image torch leaves a window out that others keep.
            and not (ceil_mode and (max(margin) > 0 or step > window))
        )
        if not plain:
            return otherwise(
                *(images, kernel_size, stride, padding, dilation),
                *(ceil_mode, return_indices),
            )
        result = max_pool(
            jnp.moveaxis(images, 1, -1),
            window[0],
            step[0],
            padding=tuple((n, n) for n in margin),
            ceil_mode=ceil_mode,
        )
        return jnp.moveaxis(result, -1, 1)

    return pool


def _pair(value: int | Ints) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * 2 if len(values) == 1 else values
