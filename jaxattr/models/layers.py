"""The layers that the architectures share: inference only, batch norm folded away.

Every layer computes in the dtype of what it is given: parameters are cast to it, and
half precision is accumulated in float32. ``gain`` scales the random weights of
``initialise``: a branch that is added to its input starts small.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxattr._numerics.apart import apart
from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions.blocks import to_blocks, whole_blocks
from jaxattr.convolutions.convolution import conv
from jaxattr.convolutions.depthwise import depthwise_conv
from jaxattr.convolutions.padding import Padding
from jaxattr.typing import Array

BRANCH = 0.2
"""The gain of the last layer of a residual branch."""


class Conv(nnx.Module):
    """An ordinary or grouped convolution, ``(N, H, W, I) -> (N, H', W', O)``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        window: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: Padding,
        groups: int = 1,
        gain: float = 1.0,
    ):
        window = (window, window) if isinstance(window, int) else window
        self.kernel = parameter(*window, inputs // groups, outputs)
        self.bias = parameter(outputs)
        self.stride, self.padding, self.groups = stride, padding, groups
        self.gain = gain

    def __call__(self, x: Array) -> Array:  # noqa: D102
        kernel = self.kernel[...].astype(x.dtype)
        result = conv(
            x, kernel, stride=self.stride, padding=self.padding, groups=self.groups
        )
        return add_bias(result, self.bias[...]).astype(x.dtype)


class Depthwise(nnx.Module):
    """A kernel a channel, ``(N, H, W, C) -> (N, H', W', C)``."""

    def __init__(
        self,
        channels: int,
        window: int,
        *,
        stride: int = 1,
        padding: Padding,
    ):
        self.kernel = parameter(window, window, channels)
        self.bias = parameter(channels)
        self.stride, self.padding = stride, padding

    def __call__(self, x: Array) -> Array:  # noqa: D102
        kernel = self.kernel[...].astype(x.dtype)
        result = depthwise_conv(x, kernel, stride=self.stride, padding=self.padding)
        return add_bias(result, self.bias[...]).astype(x.dtype)


class Linear(nnx.Module):
    """A matrix on the last axis, ``(..., I) -> (..., O)``: a 1x1 convolution of images.

    As a matrix product a 1x1 convolution is faster on CPU, its gradient too. A stride
    takes every so many pixels of ``(N, H, W, I)``.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, gain: float = 1):
        self.kernel = parameter(inputs, outputs)
        self.bias = parameter(outputs)
        self.stride, self.gain = stride, gain

    def __call__(self, x: Array) -> Array:  # noqa: D102
        if self.stride != 1:
            x = x[:, :: self.stride, :: self.stride]
        return _affine(x, self.kernel[...], self.bias[...])


class Window(nnx.Module):
    """A matrix on a whole window of pixels, ``(..., h, w, I) -> (..., O)``."""

    def __init__(self, inputs: int, outputs: int, window: int):
        self.kernel = parameter(window, window, inputs, outputs)
        self.bias = parameter(outputs)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        outputs = self.bias.shape[0]
        x = x.reshape(*x.shape[:-3], -1)
        return _affine(x, self.kernel[...].reshape(-1, outputs), self.bias[...])


class Patches(nnx.Module):
    """A convolution whose stride is its window, ``(N, H, W, I) -> (N, H/p, W/p, O)``.

    Pixels beyond the last whole patch are left out, as a convolution does.
    """

    def __init__(self, inputs: int, outputs: int, window: int):
        self.window = Window(inputs, outputs, window)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        size = self.window.kernel.shape[0]
        blocks = to_blocks(whole_blocks(x, size), size, size)
        return self.window(jnp.swapaxes(blocks, 2, 3))


class Affine(nnx.Module):
    """A scale and a shift a channel: a batch norm that no convolution can absorb."""

    def __init__(self, channels: int):
        self.scale = parameter(channels)
        self.bias = parameter(channels)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        scale = _along_last(self.scale[...].astype(x.dtype), x)
        return add_bias(x * scale, self.bias[...])


class LayerNorm(nnx.Module):
    """``γ (x - mean) / √(variance + ε) + β`` over the last axis."""

    def __init__(self, channels: int, epsilon: float):
        self.scale = parameter(channels)
        self.bias = parameter(channels)
        self.epsilon = epsilon

    def __call__(self, x: Array) -> Array:  # noqa: D102
        wide = apart(x.astype(accumulator(x.dtype)))
        wide = wide - jnp.mean(wide, -1, keepdims=True)
        variance = jnp.mean(wide * wide, -1, keepdims=True)
        wide = wide * lax.rsqrt(variance + self.epsilon)
        scale = _along_last(self.scale[...].astype(wide.dtype), wide)
        return apart(add_bias(wide * scale, self.bias[...]).astype(x.dtype))


def parameter(*shape: int) -> nnx.Param:
    """Zeros in the place of numbers that a checkpoint or ``initialise`` fills in."""
    return nnx.Param(jnp.zeros(shape, jnp.float32))


def add_bias(x: Array, bias: Array) -> Array:
    """``x + bias`` on the last axis, in the dtype of ``x``."""
    return x + _along_last(bias.astype(x.dtype), x)


def _affine(x: Array, kernel: Array, bias: Array) -> Array:
    result = jnp.matmul(
        x, kernel.astype(x.dtype), preferred_element_type=accumulator(x.dtype)
    )
    return add_bias(result, bias).astype(x.dtype)


def _along_last(values: Array, x: Array) -> Array:
    return lax.broadcast_in_dim(values, x.shape, (x.ndim - 1,))
