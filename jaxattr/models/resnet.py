"""ResNet, wide ResNet and ResNeXt; the stride is in the 3x3 convolution.

References:
  K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR
  2016, arXiv:1512.03385. S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC
  2016, arXiv:1605.07146. S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, "Aggregated
  Residual Transformations for Deep Neural Networks", CVPR 2017, arXiv:1611.05431.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.residual_blocks import BasicBlock, Bottleneck

WIDTHS = (64, 128, 256, 512)


class Shape(NamedTuple):
    """How deep and wide."""

    depths: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    width: int = 64
    """Of a group of the 3x3 convolutions, in the first stage."""


def stages(
    shape: Shape, activation: Activation, padding: Padding
) -> tuple[list[nnx.List], int]:
    """The blocks of the four stages, and the channels of the last."""
    channels, found = WIDTHS[0], []
    for i, (base, depth) in enumerate(zip(WIDTHS, shape.depths, strict=True)):
        blocks = []
        for j in range(depth):
            stride = 2 if i > 0 and j == 0 else 1
            block, channels = _block(channels, base, shape, stride, activation, padding)
            blocks.append(block)
        found.append(nnx.List(blocks))
    return found, channels


def _block(
    inputs: int,
    base: int,
    shape: Shape,
    stride: int,
    activation: Activation,
    padding: Padding,
) -> tuple[BasicBlock | Bottleneck, int]:
    """A block and its channels."""
    if not shape.bottleneck:
        basic = BasicBlock(
            inputs, base, stride=stride, activation=activation, padding=padding
        )
        return basic, base
    width, outputs = base * shape.width // 64 * shape.groups, 4 * base
    block = Bottleneck(
        inputs,
        width,
        outputs,
        stride=stride,
        groups=shape.groups,
        activation=activation,
        padding=padding,
    )
    return block, outputs


def named_blocks(*stages: nnx.List) -> Chain:
    """The layers of the stages, by torch's names."""
    return {
        f"layer{i}.{j}": block
        for i, stage in enumerate(stages, 1)
        for j, block in enumerate(stage)
    }


class ResNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "layer4"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.padding = padding
        self.conv1 = Conv(3, 64, 7, stride=2, padding=padding)
        found, channels = stages(shape, self.activation, padding)
        self.layer1, self.layer2, self.layer3, self.layer4 = found
        self.fc = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        return {
            "stem": lambda x: self.activation(self.conv1(x)),
            "maxpool": lambda x: max_pool(x, 3, 2, padding=self.padding),
            **named_blocks(self.layer1, self.layer2, self.layer3, self.layer4),
            "avgpool": global_mean,
            "fc": self.fc,
        }


def rules(shape: Shape, projection: str = "downsample", head: str = "fc") -> list[Rule]:
    """Names as in torchvision, which timm shares; networks for CIFAR have two others."""
    table: list[Rule] = [LayerRule("conv1", "conv1", norm="bn1")]
    channels = 64
    for i, (base, depth) in enumerate(zip(WIDTHS, shape.depths, strict=True)):
        outputs = base * (4 if shape.bottleneck else 1)
        for j in range(depth):
            ours, theirs = f"layer{i + 1}/{j}", f"layer{i + 1}.{j}"
            table += [
                LayerRule(
                    f"{ours}/conv{k}", f"{theirs}.conv{k}", norm=f"{theirs}.bn{k}"
                )
                for k in ((1, 2, 3) if shape.bottleneck else (1, 2))
            ]
            if j == 0 and (i > 0 or channels != outputs):
                name = f"{theirs}.{projection}"
                table.append(
                    LayerRule(f"{ours}/downsample", f"{name}.0", norm=f"{name}.1")
                )
            channels = outputs
    return [*table, LayerRule("fc", head)]


def _model(
    name: str, shape: Shape, top_1: float, megabytes: float, short_side: int = 256
) -> Entry:
    source = imagenet_source(
        functools.partial(rules, shape),
        location=Hub(f"timm/{name}.tv_in1k", top_1, megabytes),
        preprocessings=photo_preprocessings(224, short_side),
    )
    return Entry(
        build=functools.partial(ResNet, shape),
        sources={"torchvision": source},
        paddings=("symmetric", "tf_same"),
    )


_SHAPES: dict[str, tuple[Shape, float, float] | tuple[Shape, float, float, int]] = {
    "resnet18": (Shape((2, 2, 2, 2), bottleneck=False), 69.76, 46.8),
    "resnet34": (Shape((3, 4, 6, 3), bottleneck=False), 73.31, 87.3),
    "resnet50": (Shape((3, 4, 6, 3)), 76.13, 102.5),
    "resnet101": (Shape((3, 4, 23, 3)), 77.37, 178.8),
    "resnet152": (Shape((3, 8, 36, 3)), 78.31, 241.7),
    "wide_resnet50_2": (Shape((3, 4, 6, 3), width=128), 78.47, 275.9),
    "wide_resnet101_2": (Shape((3, 4, 23, 3), width=128), 78.85, 508.1),
    "resnext50_32x4d": (Shape((3, 4, 6, 3), groups=32, width=4), 77.62, 100.4),
    "resnext101_32x8d": (Shape((3, 4, 23, 3), groups=32, width=8), 79.31, 356.1),
    "resnext101_64x4d": (Shape((3, 4, 23, 3), groups=64, width=4), 83.25, 334.7, 232),
}

MODELS = {name: _model(name, *entry) for name, entry in _SHAPES.items()}
