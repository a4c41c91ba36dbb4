"""MobileNetV3, large and small.

References:
  A. Howard, M. Sandler, G. Chu, L.-C. Chen, B. Chen, M. Tan, W. Wang, Y. Zhu, R. Pang,
  V. Vasudevan, Q. V. Le, H. Adam, "Searching for MobileNetV3", ICCV 2019,
  arXiv:1905.02244.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation, hard_sigmoid, hard_swish
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.inverted_bottleneck import Stage, build_stages
from jaxattr.models.inverted_bottleneck_names import (
    timm_block_rules,
    torchvision_block_rules,
)
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.squeeze_excite import SqueezeExcite
from jaxattr.models.widths import round_channels

STEM = 16


class Shape(NamedTuple):
    """Stages, those with ReLU first; the last layers but one."""

    with_relu: tuple[Stage, ...]
    with_hard_swish: tuple[Stage, ...]
    head: int
    hidden: int

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All of them."""
        return self.with_relu + self.with_hard_swish

    @property
    def depth(self) -> int:
        """How many blocks there are."""
        return sum(stage.repeats for stage in self.stages)


class MobileNetV3(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``.

    ``activation`` stands for the ReLUs; hard-swish, which is curved, stays.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        activation = jax.nn.relu if activation is None else activation

        def gate(_: int, width: int) -> SqueezeExcite:
            squeezed = round_channels(width // 4)
            return SqueezeExcite(
                width, squeezed, activation=activation, gate=hard_sigmoid
            )

        self.stem = Conv(3, STEM, 3, stride=2, padding=padding)
        build = functools.partial(build_stages, padding=padding, gate=gate)
        first = build(STEM, shape.with_relu, activation=activation)
        channels = shape.with_relu[-1].channels
        rest = build(channels, shape.with_hard_swish, activation=hard_swish)
        self.blocks = nnx.List([*first, *rest])
        self.head = Linear(shape.stages[-1].channels, shape.head)
        self.hidden = Linear(shape.head, shape.hidden)
        self.classifier = Linear(shape.hidden, num_classes)
        self.split_layer = f"features.{shape.depth + 1}"

    def chain(self) -> Chain:  # noqa: D102
        return {
            "features.0": lambda x: hard_swish(self.stem(x)),
            **{f"features.{i + 1}": block for i, block in enumerate(self.blocks)},
            self.split_layer: lambda x: hard_swish(self.head(x)),
            "avgpool": global_mean,
            "classifier.1": lambda x: hard_swish(self.hidden(x)),
            "classifier.3": self.classifier,
        }


def torchvision_rules(shape: Shape) -> list[Rule]:
    """Names as in torchvision."""
    last = f"features.{shape.depth + 1}"
    return [
        LayerRule("stem", "features.0.0", norm="features.0.1"),
        *torchvision_block_rules(
            shape.stages, lambda place: f"features.{place.number + 1}"
        ),
        LayerRule("head", f"{last}.0", norm=f"{last}.1"),
        LayerRule("hidden", "classifier.0"),
        LayerRule("classifier", "classifier.3"),
    ]


def timm_rules(shape: Shape) -> list[Rule]:
    """Names as in timm, where the convolution before the pooling is the last block."""
    last = f"blocks.{len({stage.channels for stage in shape.stages})}.0"
    return [
        LayerRule("stem", "conv_stem", norm="bn1"),
        *timm_block_rules(shape.stages),
        LayerRule("head", f"{last}.conv", norm=f"{last}.bn1"),
        LayerRule("hidden", "conv_head"),
        LayerRule("classifier", "classifier"),
    ]


LARGE = Shape(
    with_relu=(
        Stage(1, 3, 1, 1, 16),
        Stage(1, 3, 2, 4, 24),
        Stage(1, 3, 1, 3, 24),
        Stage(3, 5, 2, 3, 40, gated=True),
    ),
    with_hard_swish=(
        Stage(1, 3, 2, 6, 80),
        Stage(1, 3, 1, 2.5, 80),
        Stage(2, 3, 1, 2.3, 80),
        Stage(2, 3, 1, 6, 112, gated=True),
        Stage(3, 5, 2, 6, 160, gated=True),
    ),
    head=960,
    hidden=1280,
)
SMALL = Shape(
    with_relu=(
        Stage(1, 3, 2, 1, 16, gated=True),
        Stage(1, 3, 2, 4.5, 24),
        Stage(1, 3, 1, 88 / 24, 24),
    ),
    with_hard_swish=(
        Stage(1, 5, 2, 4, 40, gated=True),
        Stage(2, 5, 1, 6, 40, gated=True),
        Stage(2, 5, 1, 3, 48, gated=True),
        Stage(3, 5, 2, 6, 96, gated=True),
    ),
    head=576,
    hidden=1024,
)


def _model(shape: Shape, hub: Hub, top_1: float, megabytes: float) -> Entry:
    return Entry(
        build=functools.partial(MobileNetV3, shape),
        sources={
            "timm": imagenet_source(
                functools.partial(timm_rules, shape),
                hub,
                preprocessings=photo_preprocessings(224, 256, "bicubic"),
            ),
            "torchvision": imagenet_source(
                functools.partial(torchvision_rules, shape),
                epsilon=1e-3,
                top_1=top_1,
                megabytes=megabytes,
            ),
        },
        paddings=("symmetric", "tf_same"),
    )


MODELS = {
    "mobilenet_v3_large": _model(
        LARGE, Hub("timm/mobilenetv3_large_100.ra_in1k", 75.78, 22.1), 74.04, 22.1
    ),
    "mobilenet_v3_small": _model(
        SMALL, Hub("timm/mobilenetv3_small_100.lamb_in1k", 67.64, 10.3), 67.67, 10.3
    ),
}
