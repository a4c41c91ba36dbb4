"""DenseNet: every layer sees the features of all layers of its block before it.

References:
  G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely Connected Convolutional
  Networks", CVPR 2017, arXiv:1608.06993.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import block_mean, global_mean
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import BatchNormRule, LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source
from jaxattr.models.layers import Affine, Conv, Linear
from jaxattr.typing import Array


class Shape(NamedTuple):
    """How deep and wide."""

    depths: tuple[int, int, int, int]
    growth: int = 32
    """Channels that a layer adds."""
    stem: int = 64


class DenseLayer(nnx.Module):
    """The input, and what a squeezed 3x3 convolution makes of it, concatenated."""

    def __init__(self, inputs: int, growth: int, activation: Activation):
        self.norm = Affine(inputs)
        self.conv1 = Linear(inputs, 4 * growth)
        self.conv2 = Conv(4 * growth, growth, 3, padding="symmetric")
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = self.activation(self.conv1(self.activation(self.norm(x))))
        return jnp.concatenate([x, self.conv2(y)], -1)


class Transition(nnx.Module):
    """Half the channels, then half the rows and columns."""

    def __init__(self, inputs: int, activation: Activation):
        self.norm = Affine(inputs)
        self.conv = Linear(inputs, inputs // 2)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        # A 1x1 convolution of means is the mean of 1x1 convolutions, at a quarter of
        # the work.
        return self.conv(block_mean(self.activation(self.norm(x)), 2))


class DenseNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "features.norm5"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.conv0 = Conv(3, shape.stem, 7, stride=2, padding="symmetric")
        channels, blocks, transitions = shape.stem, [], []
        for i, depth in enumerate(shape.depths):
            block = []
            for _ in range(depth):
                block.append(DenseLayer(channels, shape.growth, self.activation))
                channels += shape.growth
            blocks.append(nnx.List(block))
            if i + 1 < len(shape.depths):
                transitions.append(Transition(channels, self.activation))
                channels //= 2
        self.blocks, self.transitions = nnx.List(blocks), nnx.List(transitions)
        self.norm5 = Affine(channels)
        self.classifier = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        layers: Chain = {}
        for i, block in enumerate(self.blocks):
            for j, layer in enumerate(block):
                layers[f"features.denseblock{i + 1}.denselayer{j + 1}"] = layer
            if i < len(self.transitions):
                layers[f"features.transition{i + 1}"] = self.transitions[i]
        return {
            "features.relu0": lambda x: self.activation(self.conv0(x)),
            "features.pool0": lambda x: max_pool(x, 3, 2, padding="symmetric"),
            **layers,
            "features.norm5": lambda x: self.activation(self.norm5(x)),
            "avgpool": global_mean,
            "classifier": self.classifier,
        }


def rules(shape: Shape, joint: str) -> list[Rule]:
    """Names as in torchvision and timm, or as in the files that torchvision publishes.

    There ``joint``, between ``norm`` or ``conv`` and its number in a layer, is a dot.
    """
    table: list[Rule] = [LayerRule("conv0", "features.conv0", norm="features.norm0")]
    for i, depth in enumerate(shape.depths):
        for j in range(depth):
            ours = f"blocks/{i}/{j}"
            theirs = f"features.denseblock{i + 1}.denselayer{j + 1}"
            norm, conv = f"{theirs}.norm{joint}", f"{theirs}.conv{joint}"
            table += [
                BatchNormRule(f"{ours}/norm", f"{norm}1"),
                LayerRule(f"{ours}/conv1", f"{conv}1", norm=f"{norm}2"),
                LayerRule(f"{ours}/conv2", f"{conv}2", bias=False),
            ]
        if i + 1 < len(shape.depths):
            ours, theirs = f"transitions/{i}", f"features.transition{i + 1}"
            table += [
                BatchNormRule(f"{ours}/norm", f"{theirs}.norm"),
                LayerRule(f"{ours}/conv", f"{theirs}.conv", bias=False),
            ]
    return [
        *table,
        BatchNormRule("norm5", "features.norm5"),
        LayerRule("classifier", "classifier"),
    ]


def _model(name: str, shape: Shape, top_1: float, megabytes: float) -> Entry:
    names = functools.partial(rules, shape)
    hub = Hub(f"timm/{name}.tv_in1k", top_1, megabytes)
    return Entry(
        build=functools.partial(DenseNet, shape),
        sources={
            "torchvision": imagenet_source(functools.partial(names, ""), hub),
            "torchvision_file": imagenet_source(
                functools.partial(names, "."), top_1=top_1, megabytes=megabytes
            ),
        },
    )


_SHAPES = {
    "densenet121": (Shape((6, 12, 24, 16)), 74.43, 32.3),
    "densenet161": (Shape((6, 12, 36, 24), 48, 96), 77.14, 115.7),
    "densenet169": (Shape((6, 12, 32, 32)), 75.60, 57.4),
    "densenet201": (Shape((6, 12, 48, 32)), 76.90, 81.1),
}

MODELS = {name: _model(name, *entry) for name, entry in _SHAPES.items()}
