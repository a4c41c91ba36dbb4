"""The inverted bottleneck of MobileNetV2 and EfficientNet, and stages of them.

References:
  M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted
  Residuals and Linear Bottlenecks", CVPR 2018, arXiv:1801.04381. M. Tan, Q. V. Le,
  "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, arXiv:2104.00298, has
  the fused one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from flax import nnx

from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.layers import BRANCH, Conv, Depthwise, Linear
from jaxattr.models.squeeze_excite import SqueezeExcite
from jaxattr.typing import Array


class Stage(NamedTuple):
    """Blocks of one width; the first has the stride."""

    repeats: int
    window: int
    stride: int
    expansion: float
    channels: int
    gated: bool = False
    """Whether there is a squeeze and excite after the depthwise convolution."""
    fused: bool = False
    """Whether expansion and depthwise convolution are one ordinary convolution."""


Gate = Callable[[int, int], SqueezeExcite]
"""From a block's inputs and its expanded channels to its squeeze and excite."""


class InvertedBottleneck(nnx.Module):
    """Expand, depthwise, project; added to its input if alike."""

    def __init__(
        self,
        inputs: int,
        stage: Stage,
        stride: int,
        *,
        activation: Activation,
        padding: Padding,
        gate: Gate | None = None,
    ):
        width = round(inputs * stage.expansion)
        self.residual = stride == 1 and inputs == stage.channels
        self.expand = Linear(inputs, width) if width != inputs else None
        self.depthwise = Depthwise(width, stage.window, stride=stride, padding=padding)
        self.gate = gate(inputs, width) if gate and stage.gated else None
        gain = BRANCH if self.residual else 1.0
        self.project = Linear(width, stage.channels, gain=gain)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = x if self.expand is None else self.activation(self.expand(x))
        y = self.activation(self.depthwise(y))
        if self.gate is not None:
            y = self.gate(y)
        y = self.project(y)
        return x + y if self.residual else y


class FusedBottleneck(nnx.Module):
    """Convolve, project; added to its input if alike. Without expansion, convolve."""

    def __init__(
        self,
        inputs: int,
        stage: Stage,
        stride: int,
        *,
        activation: Activation,
        padding: Padding,
    ):
        width = round(inputs * stage.expansion)
        self.residual = stride == 1 and inputs == stage.channels
        gain, narrow = (BRANCH if self.residual else 1.0), width == inputs
        self.expand = Conv(
            inputs,
            stage.channels if narrow else width,
            stage.window,
            stride=stride,
            padding=padding,
            gain=gain if narrow else 1.0,
        )
        self.project = None if narrow else Linear(width, stage.channels, gain=gain)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = self.activation(self.expand(x))
        if self.project is not None:
            y = self.project(y)
        return x + y if self.residual else y


def build_stages(
    inputs: int,
    stages: Iterable[Stage],
    *,
    activation: Activation,
    padding: Padding,
    gate: Gate | None = None,
) -> nnx.List:
    """The blocks of all stages, one after another."""
    fused = functools.partial(FusedBottleneck, activation=activation, padding=padding)
    separate = functools.partial(
        InvertedBottleneck, activation=activation, padding=padding, gate=gate
    )
    blocks: list[nnx.Module] = []
    for stage in stages:
        make = fused if stage.fused else separate
        for i in range(stage.repeats):
            blocks.append(make(inputs, stage, stage.stride if i == 0 else 1))
            inputs = stage.channels
    return nnx.List(blocks)
