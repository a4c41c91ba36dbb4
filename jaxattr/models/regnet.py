"""RegNet X, and Y with squeeze and excite.

References:
  I. Radosavovic, R. P. Kosaraju, R. Girshick, K. He, P. Dollár, "Designing Network
  Design Spaces", CVPR 2020, arXiv:2003.13678.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.residual_blocks import Bottleneck
from jaxattr.models.squeeze_excite import squeeze_excite_rules
from jaxattr.models.widths import round_channels

STEM = 32


class Shape(NamedTuple):
    """The numbers that the widths of all blocks follow from."""

    depth: int
    first: int
    """Channels of the first block."""
    slope: float
    """More channels with each block, before they are rounded."""
    ratio: float
    """Of channels, from a stage to the next, before they are rounded."""
    group: int
    """Channels of a group of the 3x3 convolutions."""
    gated: bool


class Block(NamedTuple):
    """One block: its stage, how manieth in that, and its sizes."""

    stage: int
    inner: int
    inputs: int
    outputs: int
    groups: int


def blocks(shape: Shape) -> Iterator[Block]:
    """All blocks: ``first + slope · i``, rounded to a power of ``ratio``, and to eights."""
    linear = shape.first + shape.slope * np.arange(shape.depth)
    powers = np.round(np.log(linear / shape.first) / np.log(shape.ratio))
    widths = (np.round(shape.first * shape.ratio**powers / 8) * 8).astype(int)
    stage, inner, inputs = 0, 0, STEM
    for i, width in enumerate(widths.tolist()):
        inner += 1
        if i == 0 or width != widths[i - 1]:
            stage, inner = stage + 1, 0
        group = min(shape.group, width)
        outputs = round_channels(width, group)
        yield Block(stage, inner, inputs, outputs, outputs // group)
        inputs = outputs


class RegNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "trunk_output.block4"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.shape = shape
        self.stem = Conv(3, STEM, 3, stride=2, padding=padding)
        self.blocks = nnx.List(
            Bottleneck(
                block.inputs,
                block.outputs,
                block.outputs,
                stride=2 if block.inner == 0 else 1,
                groups=block.groups,
                squeezed=block.inputs // 4 if shape.gated else None,
                activation=self.activation,
                padding=padding,
            )
            for block in blocks(shape)
        )
        *_, last = blocks(shape)
        self.fc = Linear(last.outputs, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        return {
            "stem": lambda x: self.activation(self.stem(x)),
            **{
                _torchvision_name(block): layer
                for block, layer in zip(blocks(self.shape), self.blocks, strict=True)
            },
            "avgpool": global_mean,
            "fc": self.fc,
        }


def _torchvision_name(block: Block) -> str:
    return f"trunk_output.block{block.stage}.block{block.stage}-{block.inner}"


def torchvision_rules(shape: Shape) -> list[Rule]:
    """Names as in torchvision."""
    table: list[Rule] = [LayerRule("stem", "stem.0", norm="stem.1")]
    for i, block in enumerate(blocks(shape)):
        ours, theirs = f"blocks/{i}", _torchvision_name(block)
        layers = {"conv1": "f.a", "conv2": "f.b", "conv3": "f.c"}
        if block.inner == 0:
            layers["downsample"] = "proj"
        table += [
            LayerRule(f"{ours}/{part}", f"{theirs}.{name}.0", norm=f"{theirs}.{name}.1")
            for part, name in layers.items()
        ]
        if shape.gated:
            names = ("fc1", "fc2")
            table += squeeze_excite_rules(f"{ours}/gate", f"{theirs}.f.se", names)
    return [*table, LayerRule("fc", "fc")]


def timm_rules(shape: Shape) -> list[Rule]:
    """Names as in timm."""
    table: list[Rule] = [LayerRule("stem", "stem.conv", norm="stem.bn")]
    for i, block in enumerate(blocks(shape)):
        ours, theirs = f"blocks/{i}", f"s{block.stage}.b{block.inner + 1}"
        layers = ["conv1", "conv2", "conv3", *["downsample"][block.inner :]]
        table += [
            LayerRule(
                f"{ours}/{name}", f"{theirs}.{name}.conv", norm=f"{theirs}.{name}.bn"
            )
            for name in layers
        ]
        if shape.gated:
            names = ("fc1", "fc2")
            table += squeeze_excite_rules(f"{ours}/gate", f"{theirs}.se", names)
    return [*table, LayerRule("fc", "head.fc")]


def _model(
    shape: Shape, hub: str, first_top_1: float, second_top_1: float, megabytes: float
) -> Entry:
    """``second_top_1`` is of torchvision's second weights, which timm has."""
    return Entry(
        build=functools.partial(RegNet, shape),
        sources={
            "timm": imagenet_source(
                functools.partial(timm_rules, shape),
                Hub(f"timm/{hub}.tv2_in1k", second_top_1, megabytes),
                preprocessings=photo_preprocessings(224, 232),
            ),
            "torchvision": imagenet_source(
                functools.partial(torchvision_rules, shape),
                top_1=first_top_1,
                megabytes=megabytes,
            ),
        },
        paddings=("symmetric", "tf_same"),
    )


def _x(depth: int, first: int, slope: float, ratio: float, group: int) -> Shape:
    return Shape(depth, first, slope, ratio, group, gated=False)


def _y(depth: int, first: int, slope: float, ratio: float, group: int) -> Shape:
    return Shape(depth, first, slope, ratio, group, gated=True)


_SHAPES = {
    "regnet_x_400mf": (
        _x(22, 24, 24.48, 2.54, 16),
        *("regnetx_004_tv", 72.83, 74.86, 22.3),
    ),
    "regnet_x_800mf": (_x(16, 56, 35.73, 2.28, 16), "regnetx_008", 75.21, 77.52, 29.3),
    "regnet_x_1_6gf": (_x(18, 80, 34.01, 2.25, 24), "regnetx_016", 77.04, 79.67, 37.1),
    "regnet_x_3_2gf": (_x(25, 88, 26.31, 2.25, 48), "regnetx_032", 78.36, 81.20, 61.6),
    "regnet_x_8gf": (_x(23, 80, 49.56, 2.88, 120), "regnetx_080", 79.34, 81.68, 158.8),
    "regnet_x_16gf": (
        _x(22, 216, 55.59, 2.1, 128),
        *("regnetx_160", 80.06, 82.72, 217.7),
    ),
    "regnet_x_32gf": (
        _x(23, 320, 69.86, 2.0, 168),
        *("regnetx_320", 80.62, 83.01, 432.1),
    ),
    "regnet_y_400mf": (_y(16, 48, 27.89, 2.09, 8), "regnety_004", 74.05, 75.80, 17.6),
    "regnet_y_800mf": (
        _y(14, 56, 38.84, 2.4, 16),
        *("regnety_008_tv", 76.42, 78.83, 26.0),
    ),
    "regnet_y_1_6gf": (_y(27, 48, 20.71, 2.65, 24), "regnety_016", 77.95, 80.88, 45.2),
    "regnet_y_3_2gf": (_y(21, 80, 42.63, 2.66, 24), "regnety_032", 78.95, 81.98, 78.2),
    "regnet_y_8gf": (
        _y(17, 192, 76.82, 2.19, 56),
        *("regnety_080_tv", 80.03, 82.83, 158.0),
    ),
    "regnet_y_16gf": (
        _y(18, 200, 106.23, 2.48, 112),
        *("regnety_160", 80.42, 82.89, 335.0),
    ),
    "regnet_y_32gf": (
        _y(20, 232, 115.89, 2.53, 232),
        *("regnety_320", 80.88, 83.37, 581.0),
    ),
}

MODELS = {name: _model(*entry) for name, entry in _SHAPES.items()}
