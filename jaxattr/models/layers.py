"""The layers that the architectures share: inference only, batch norm folded away.

Every layer holds ``kernel`` and ``bias`` and computes in the dtype of what it is given:
parameters are cast to it, half precision is accumulated in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxattr.models.depthwise import accumulator, depthwise_conv
from jaxattr.models.padding import Padding, explicit_padding
from jaxattr.typing import Array

Activation = Callable[[Array], Array]


def relu6(x: Array) -> Array:
    """``min(max(x, 0), 6)`` with derivative 0 at both corners, as torch has it.

    ``jax.nn.relu6`` has 0.5 there. Written so that NaN stays NaN.
    """
    return jnp.where(
        x <= 0, jnp.zeros_like(x), jnp.where(x >= 6, 6.0 * jnp.ones_like(x), x)
    )


class Conv(nnx.Module):
    """An ordinary convolution of few channels, ``(N, H, W, I) -> (N, H', W', O)``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        window: int,
        *,
        stride: int = 1,
        padding: Padding = "tf_same",
    ):
        self.kernel = _parameter(window, window, inputs, outputs)
        self.bias = _parameter(outputs)
        self.stride, self.padding = stride, padding

    def __call__(self, x: Array) -> Array:  # noqa: D102
        window = self.kernel.shape[:2]
        pads = explicit_padding(self.padding, x.shape[1:3], window, self.stride)
        # Half precision goes through float32, which holds its products exactly: the
        # transpose of a convolution cannot take a wider cotangent than its operands.
        accumulate = accumulator(x.dtype)
        result = lax.conv_general_dilated(
            x.astype(accumulate),
            self.kernel[...].astype(x.dtype).astype(accumulate),
            (self.stride, self.stride),
            pads,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return _add_bias(result, self.bias[...]).astype(x.dtype)


class Depthwise(nnx.Module):
    """A kernel a channel, ``(N, H, W, C) -> (N, H', W', C)``."""

    def __init__(
        self,
        channels: int,
        window: int,
        *,
        stride: int = 1,
        padding: Padding = "tf_same",
    ):
        self.kernel = _parameter(window, window, channels)
        self.bias = _parameter(channels)
        self.stride, self.padding = stride, padding

    def __call__(self, x: Array) -> Array:  # noqa: D102
        kernel = self.kernel[...].astype(x.dtype)
        result = depthwise_conv(x, kernel, stride=self.stride, padding=self.padding)
        return _add_bias(result, self.bias[...]).astype(x.dtype)


class Linear(nnx.Module):
    """A matrix on the last axis, ``(..., I) -> (..., O)``: a 1x1 convolution of images.

    As a matrix product a 1x1 convolution is faster on CPU, its gradient too.
    """

    def __init__(self, inputs: int, outputs: int):
        self.kernel = _parameter(inputs, outputs)
        self.bias = _parameter(outputs)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        result = jnp.matmul(
            x,
            self.kernel[...].astype(x.dtype),
            preferred_element_type=accumulator(x.dtype),
        )
        return _add_bias(result, self.bias[...]).astype(x.dtype)


def _add_bias(x: Array, bias: Array) -> Array:
    return x + lax.broadcast_in_dim(bias.astype(x.dtype), x.shape, (x.ndim - 1,))


def _parameter(*shape: int) -> nnx.Param:
    """A place for numbers: whoever builds a network fills it, see ``initialise``."""
    return nnx.Param(jnp.zeros(shape, jnp.float32))
