"""The blocks of residual networks: convolutions, added to the input or its projection.

References:
  K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR
  2016, arXiv:1512.03385.
"""

from __future__ import annotations

from flax import nnx

from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.layers import BRANCH, Conv, Linear
from jaxattr.models.squeeze_excite import SqueezeExcite
from jaxattr.typing import Array


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions, the sum, the activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        activation: Activation,
        padding: Padding,
    ):
        self.conv1 = Conv(inputs, outputs, 3, stride=stride, padding=padding)
        self.conv2 = Conv(outputs, outputs, 3, padding=padding, gain=BRANCH)
        self.downsample = projection(inputs, outputs, stride)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = self.conv2(self.activation(self.conv1(x)))
        return self.activation(y + (self.downsample(x) if self.downsample else x))


class Bottleneck(nnx.Module):
    """1x1, 3x3 in groups, a gate of ``squeezed`` channels or none, 1x1; the rest alike."""

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        *,
        stride: int,
        groups: int = 1,
        squeezed: int | None = None,
        activation: Activation,
        padding: Padding,
    ):
        self.conv1 = Linear(inputs, width)
        self.conv2 = Conv(
            width, width, 3, stride=stride, padding=padding, groups=groups
        )
        self.gate = (
            None
            if squeezed is None
            else SqueezeExcite(width, squeezed, activation=activation)
        )
        self.conv3 = Linear(width, outputs, gain=BRANCH)
        self.downsample = projection(inputs, outputs, stride)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = self.activation(self.conv2(self.activation(self.conv1(x))))
        y = self.conv3(y if self.gate is None else self.gate(y))
        return self.activation(y + (self.downsample(x) if self.downsample else x))


def projection(inputs: int, outputs: int, stride: int) -> Linear | None:
    """To another width or size, where the block has one."""
    alike = stride == 1 and inputs == outputs
    return None if alike else Linear(inputs, outputs, stride=stride)
