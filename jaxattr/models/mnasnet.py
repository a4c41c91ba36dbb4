"""MnasNet-B1: inverted bottlenecks found by a search on a telephone.

References:
  M. Tan, B. Chen, R. Pang, V. Vasudevan, M. Sandler, A. Howard, Q. V. Le, "MnasNet:
  Platform-Aware Neural Architecture Search for Mobile", CVPR 2019, arXiv:1807.11626.
"""

from __future__ import annotations

import functools

import jax
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.inverted_bottleneck import Stage, build_stages
from jaxattr.models.inverted_bottleneck_names import places, timm_block_rules
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.widths import round_channels

STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 3, 24),
    Stage(3, 5, 2, 3, 40),
    Stage(3, 5, 2, 6, 80),
    Stage(2, 3, 1, 6, 96),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)

STEM, HEAD = 32, 1280


def scaled(width: float) -> tuple[Stage, ...]:
    """The stages with ``width`` times as many channels."""
    return tuple(
        stage._replace(channels=round_channels(width * stage.channels))
        for stage in STAGES
    )


class MnasNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "layers.16"

    def __init__(
        self,
        width: float,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = jax.nn.relu if activation is None else activation
        stages, stem = scaled(width), round_channels(width * STEM)
        self.stem = Conv(3, stem, 3, stride=2, padding=padding)
        self.blocks = build_stages(
            stem, stages, activation=self.activation, padding=padding
        )
        self.head = Linear(stages[-1].channels, HEAD)
        self.classifier = Linear(HEAD, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        blocks = zip(places(STAGES), self.blocks, strict=True)
        return {
            "layers.2": lambda x: self.activation(self.stem(x)),
            # The first block is no module in torchvision: this is the last of its layers.
            **{
                f"layers.{place.stage + 7}.{place.inner}"
                if place.stage
                else "layers.7": block
                for (place, _), block in blocks
            },
            "layers.16": lambda x: self.activation(self.head(x)),
            "pool": global_mean,
            "classifier": self.classifier,
        }


def torchvision_rules() -> list[Rule]:
    """Names as in torchvision, which numbers convolutions and norms alike."""
    table: list[Rule] = [LayerRule("stem", "layers.0", norm="layers.1")]
    for place, _ in places(STAGES):
        first = place.stage == 0
        parts = (
            ["depthwise", "project"] if first else ["expand", "depthwise", "project"]
        )
        theirs = "layers" if first else f"layers.{place.stage + 7}.{place.inner}.layers"
        table += [
            LayerRule(
                f"blocks/{place.number}/{part}",
                f"{theirs}.{3 * first + 3 * i}",
                norm=f"{theirs}.{3 * first + 3 * i + 1}",
            )
            for i, part in enumerate(parts)
        ]
    return [
        *table,
        LayerRule("head", "layers.14", norm="layers.15"),
        LayerRule("classifier", "classifier.1"),
    ]


def timm_rules() -> list[Rule]:
    """Names as in timm."""
    return [
        LayerRule("stem", "conv_stem", norm="bn1"),
        *timm_block_rules(STAGES),
        LayerRule("head", "conv_head", norm="bn2"),
        LayerRule("classifier", "classifier"),
    ]


def _model(
    width: float, top_1: float, megabytes: float, short_side: int, hub: Hub | None
) -> Entry:
    sources = {
        "torchvision": imagenet_source(
            torchvision_rules,
            preprocessings=photo_preprocessings(224, short_side),
            top_1=top_1,
            megabytes=megabytes,
        )
    }
    if hub is not None:
        published = imagenet_source(
            timm_rules, hub, preprocessings=photo_preprocessings(224, 256, "bicubic")
        )
        sources = {"timm": published} | sources
    return Entry(
        build=functools.partial(MnasNet, width),
        sources=sources,
        paddings=("symmetric", "tf_same"),
    )


MODELS = {
    "mnasnet0_5": _model(0.5, 67.73, 9.0, 256, None),
    "mnasnet0_75": _model(0.75, 71.18, 12.9, 232, None),
    "mnasnet1_0": _model(
        1.0, 73.46, 17.7, 256, Hub("timm/mnasnet_100.rmsp_in1k", 74.67, 17.7)
    ),
    "mnasnet1_3": _model(1.3, 76.51, 25.4, 232, None),
}
