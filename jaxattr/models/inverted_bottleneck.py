"""The inverted bottleneck of MobileNetV2 and EfficientNet, and stages of them.

References:
  M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted
  Residuals and Linear Bottlenecks", CVPR 2018, arXiv:1801.04381.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flax import nnx

from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.layers import BRANCH, Depthwise, Linear
from jaxattr.typing import Array


class Stage(NamedTuple):
    """Blocks of one width; the first has the stride."""

    repeats: int
    window: int
    stride: int
    expansion: int
    channels: int


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
    ):
        width = inputs * stage.expansion
        self.residual = stride == 1 and inputs == stage.channels
        self.expand = Linear(inputs, width) if width != inputs else None
        self.depthwise = Depthwise(width, stage.window, stride=stride, padding=padding)
        gain = BRANCH if self.residual else 1.0
        self.project = Linear(width, stage.channels, gain=gain)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = x if self.expand is None else self.activation(self.expand(x))
        y = self.project(self.activation(self.depthwise(y)))
        return x + y if self.residual else y


def build_stages(
    inputs: int, stages: Iterable[Stage], *, activation: Activation, padding: Padding
) -> nnx.List:
    """The blocks of all stages, one after another."""
    blocks = []
    for stage in stages:
        for i in range(stage.repeats):
            stride = stage.stride if i == 0 else 1
            block = InvertedBottleneck(
                inputs, stage, stride, activation=activation, padding=padding
            )
            blocks.append(block)
            inputs = stage.channels
    return nnx.List(blocks)
