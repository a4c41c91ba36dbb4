"""Wide ResNet for images of 32 x 32 pixels: norm and activation before convolutions.

Two sets of names, of two families of robust networks: those that TRADES began, with ReLU
and pixels as they are, and DeepMind's, with Swish, a normalisation inside and strides
padded as TensorFlow pads them.

References:
  S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC 2016, arXiv:1605.07146. H.
  Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy",
  ICML 2019, arXiv:1901.08573. S. Gowal et al., "Uncovering the Limits of Adversarial
  Training against Norm-Bounded Adversarial Examples", 2020, arXiv:2010.03593.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
from flax import nnx

from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import BatchNormRule, LayerRule, Rule
from jaxattr.models.entries import AS_IS, Entry, Source, photo_preprocessings
from jaxattr.models.layers import BRANCH, Affine, Conv, Linear
from jaxattr.typing import Array

STEM = 16
STAGES = (1, 2, 4)
"""How wide each stage is, in ``STEM`` times the factor of the network."""
CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2471, 0.2435, 0.2616)


class Shape(NamedTuple):
    """How deep and wide, as in its name: 28-10 has ``depth`` 28 and ``factor`` 10."""

    depth: int
    factor: int

    @property
    def blocks(self) -> int:
        """Of each stage."""
        return (self.depth - 4) // 6

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(STEM * self.factor * stage for stage in STAGES)


class Block(nnx.Module):
    """Norm, activation, convolution, twice, added to the input or its projection.

    Where the channels change, the projection is of the normalised, active input.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        activation: Activation,
        padding: Padding,
    ):
        self.norm1 = Affine(inputs)
        self.conv1 = Conv(inputs, outputs, 3, stride=stride, padding=padding)
        self.conv2 = Conv(outputs, outputs, 3, padding=padding, gain=BRANCH)
        projects = inputs != outputs
        self.shortcut = Linear(inputs, outputs, stride=stride) if projects else None
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        active = self.activation(self.norm1(x))
        y = self.conv2(self.activation(self.conv1(active)))
        return y + (x if self.shortcut is None else self.shortcut(active))


class CifarWideResNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "norm"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 10,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.stem = Conv(3, STEM, 3, padding=padding)
        channels, stages = STEM, []
        for i, width in enumerate(shape.widths):
            blocks = []
            for j in range(shape.blocks):
                block = Block(
                    channels,
                    width,
                    stride=2 if i > 0 and j == 0 else 1,
                    activation=self.activation,
                    padding=padding,
                )
                blocks.append(block)
                channels = width
            stages.append(nnx.List(blocks))
        self.stages = nnx.List(stages)
        self.norm = Affine(channels)
        self.fc = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        blocks = {
            f"block{i + 1}.{j}": block
            for i, stage in enumerate(self.stages)
            for j, block in enumerate(stage)
        }
        return {
            "stem": self.stem,
            **blocks,
            "norm": lambda x: self.activation(self.norm(x)),
            "avgpool": global_mean,
            "fc": self.fc,
        }


def trades_rules(shape: Shape) -> list[Rule]:
    """Names as in TRADES, which RobustBench calls ``WideResNet``."""
    parts = ("bn1", "conv1", "bn2", "conv2", "convShortcut")
    return [
        LayerRule("stem", "conv1", bias=False),
        *_blocks(shape, lambda i, j: f"block{i + 1}.layer.{j}", parts),
        BatchNormRule("norm", "bn1"),
        LayerRule("fc", "fc"),
    ]


def deepmind_rules(shape: Shape) -> list[Rule]:
    """Names as in DeepMind's networks, which RobustBench calls ``DMWideResNet``."""
    parts = ("batchnorm_0", "conv_0", "batchnorm_1", "conv_1", "shortcut")
    return [
        LayerRule("stem", "init_conv", bias=False),
        *_blocks(shape, lambda i, j: f"layer.{i}.block.{j}", parts),
        BatchNormRule("norm", "batchnorm"),
        LayerRule("fc", "logits"),
    ]


def _blocks(
    shape: Shape, name: Callable[[int, int], str], parts: tuple[str, ...]
) -> Iterator[Rule]:
    """Of all blocks, by the names of their norms, convolutions and projection."""
    channels = STEM
    for i, width in enumerate(shape.widths):
        for j in range(shape.blocks):
            ours = f"stages/{i}/{j}"
            norm1, conv1, norm2, conv2, shortcut = (f"{name(i, j)}.{p}" for p in parts)
            yield BatchNormRule(f"{ours}/norm1", norm1)
            yield LayerRule(f"{ours}/conv1", conv1, norm=norm2)
            yield LayerRule(f"{ours}/conv2", conv2, bias=False)
            if channels != width:
                yield LayerRule(f"{ours}/shortcut", shortcut, bias=False)
            channels = width


def _model(shape: Shape) -> Entry:
    prepare = photo_preprocessings(32, 32)
    return Entry(
        build=functools.partial(CifarWideResNet, shape),
        sources={
            "robustbench": Source(
                functools.partial(trades_rules, shape),
                *AS_IS,
                preprocessings=prepare,
                # A copy of the first stage that some files hold and nothing uses.
                ignored_prefixes=("sub_block1.",),
            ),
            "deepmind": Source(
                functools.partial(deepmind_rules, shape),
                CIFAR_MEAN,
                CIFAR_STD,
                preprocessings=prepare,
                padding="tf_same",
                activation=jax.nn.silu,
            ),
        },
        paddings=("symmetric", "tf_same"),
        num_classes=10,
    )


MODELS = {
    "cifar_wide_resnet28_10": _model(Shape(28, 10)),
    "cifar_wide_resnet70_16": _model(Shape(70, 16)),
}
