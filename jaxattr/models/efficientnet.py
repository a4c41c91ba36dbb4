"""EfficientNet-B0 to B4 and EfficientNetV2-S.

References:
  M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
  Networks", ICML 2019, arXiv:1905.11946. M. Tan, Q. V. Le, "EfficientNetV2: Smaller
  Models and Faster Training", ICML 2021, arXiv:2104.00298.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import HALF, Entry, imagenet_source, photo_preprocessings
from jaxattr.models.inverted_bottleneck import Stage, build_stages
from jaxattr.models.inverted_bottleneck_names import (
    places,
    timm_block_rules,
    torchvision_block_rules,
)
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.squeeze_excite import SqueezeExcite
from jaxattr.models.widths import round_channels

B0_STAGES = (
    Stage(1, 3, 1, 1, 16, gated=True),
    Stage(2, 3, 2, 6, 24, gated=True),
    Stage(2, 5, 2, 6, 40, gated=True),
    Stage(3, 3, 2, 6, 80, gated=True),
    Stage(3, 5, 1, 6, 112, gated=True),
    Stage(4, 5, 2, 6, 192, gated=True),
    Stage(1, 3, 1, 6, 320, gated=True),
)

V2_S_STAGES = (
    Stage(2, 3, 1, 1, 24, fused=True),
    Stage(4, 3, 2, 4, 48, fused=True),
    Stage(4, 3, 2, 4, 64, fused=True),
    Stage(6, 3, 2, 4, 128, gated=True),
    Stage(9, 3, 1, 6, 160, gated=True),
    Stage(15, 3, 2, 6, 256, gated=True),
)


class Shape(NamedTuple):
    """How deep and wide."""

    stem: int
    stages: tuple[Stage, ...]
    head: int


def scaled(width: float, depth: float) -> Shape:
    """EfficientNet-B0 with more channels and more blocks."""
    stages = tuple(
        stage._replace(
            channels=round_channels(width * stage.channels),
            repeats=math.ceil(depth * stage.repeats),
        )
        for stage in B0_STAGES
    )
    return Shape(round_channels(width * 32), stages, 4 * stages[-1].channels)


class EfficientNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = jax.nn.silu if activation is None else activation

        def gate(inputs: int, width: int) -> SqueezeExcite:
            return SqueezeExcite(width, inputs // 4, activation=self.activation)

        self.shape = shape
        self.stem = Conv(3, shape.stem, 3, stride=2, padding=padding)
        self.blocks = build_stages(
            shape.stem,
            shape.stages,
            activation=self.activation,
            padding=padding,
            gate=gate,
        )
        self.head = Linear(shape.stages[-1].channels, shape.head)
        self.classifier = Linear(shape.head, num_classes)
        self.split_layer = f"features.{len(shape.stages) + 1}"

    def chain(self) -> Chain:  # noqa: D102
        blocks = zip(places(self.shape.stages), self.blocks, strict=True)
        return {
            "features.0": lambda x: self.activation(self.stem(x)),
            **{
                f"features.{place.stage + 1}.{place.inner}": block
                for (place, _), block in blocks
            },
            self.split_layer: lambda x: self.activation(self.head(x)),
            "avgpool": global_mean,
            "classifier": self.classifier,
        }


def torchvision_rules(shape: Shape) -> list[Rule]:
    """Names as in torchvision."""
    last = f"features.{len(shape.stages) + 1}"
    return [
        LayerRule("stem", "features.0.0", norm="features.0.1"),
        *torchvision_block_rules(
            shape.stages, lambda place: f"features.{place.stage + 1}.{place.inner}"
        ),
        LayerRule("head", f"{last}.0", norm=f"{last}.1"),
        LayerRule("classifier", "classifier.1"),
    ]


def timm_rules(shape: Shape) -> list[Rule]:
    """Names as in timm."""
    return [
        LayerRule("stem", "conv_stem", norm="bn1"),
        *timm_block_rules(shape.stages),
        LayerRule("head", "conv_head", norm="bn2"),
        LayerRule("classifier", "classifier"),
    ]


class Preparation(NamedTuple):
    """Input size, short side of the photograph, interpolation and what that gives."""

    size: int
    short_side: int
    interpolation: str
    top_1: float


def _model(
    shape: Shape,
    torchvision: Preparation,
    hub: str,
    timm: Preparation,
    megabytes: float,
    epsilon: float = 1e-5,
    **published,
) -> Entry:
    return Entry(
        build=functools.partial(EfficientNet, shape),
        sources={
            "timm": imagenet_source(
                functools.partial(timm_rules, shape),
                Hub(f"timm/{hub}", timm.top_1, megabytes),
                preprocessings=photo_preprocessings(*timm[:3]),
                epsilon=epsilon,
                **published,
            ),
            "torchvision": imagenet_source(
                functools.partial(torchvision_rules, shape),
                preprocessings=photo_preprocessings(*torchvision[:3]),
                epsilon=epsilon,
                top_1=torchvision.top_1,
                megabytes=megabytes,
            ),
        },
        paddings=("symmetric", "tf_same"),
    )


MODELS = {
    "efficientnet_b0": _model(
        scaled(1.0, 1.0),
        Preparation(224, 256, "bicubic", 77.69),
        "efficientnet_b0.ra_in1k",
        Preparation(224, 256, "bicubic", 77.70),
        21.4,
    ),
    "efficientnet_b1": _model(
        scaled(1.0, 1.1),
        Preparation(240, 256, "bicubic", 78.64),
        "efficientnet_b1.ft_in1k",
        Preparation(224, 256, "bicubic", 77.59),
        31.6,
    ),
    "efficientnet_b2": _model(
        scaled(1.1, 1.2),
        Preparation(288, 288, "bicubic", 80.61),
        "efficientnet_b2.ra_in1k",
        Preparation(256, 292, "bicubic", 79.32),
        36.9,
    ),
    "efficientnet_b3": _model(
        scaled(1.2, 1.4),
        Preparation(300, 320, "bicubic", 82.01),
        "efficientnet_b3.ra2_in1k",
        Preparation(288, 329, "bicubic", 81.47),
        49.5,
    ),
    "efficientnet_b4": _model(
        scaled(1.4, 1.8),
        Preparation(380, 384, "bicubic", 83.38),
        "efficientnet_b4.ra2_in1k",
        Preparation(320, 365, "bicubic", 82.66),
        78.1,
    ),
    # timm's weights are TensorFlow's.
    "efficientnet_v2_s": _model(
        Shape(24, V2_S_STAGES, 1280),
        Preparation(384, 384, "bilinear", 84.23),
        "tf_efficientnetv2_s.in21k_ft_in1k",
        Preparation(300, 300, "bicubic", 83.35),
        86.7,
        1e-3,
        mean=HALF,
        std=HALF,
        padding="tf_same",
    ),
}
