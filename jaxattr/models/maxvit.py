"""MaxViT: convolutions, attention in windows, attention across a grid.

References:
  Z. Tu, H. Talebi, H. Zhang, F. Yang, P. Milanfar, A. Bovik, Y. Li, "MaxViT: Multi-Axis
  Vision Transformer", ECCV 2022, arXiv:2204.01697; sizes and scaling are torchvision's.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxattr._checks import fail
from jaxattr.convolutions.blocks import to_blocks
from jaxattr.convolutions.mean_pooling import global_mean, mean_pool
from jaxattr.models.activations import Activation, gelu
from jaxattr.models.attention import SelfAttention, relative_bias
from jaxattr.models.chain import Chain
from jaxattr.models.convert import (
    ArrayRule,
    BatchNormRule,
    LayerNormRule,
    LayerRule,
    Rule,
)
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.layers import (
    BRANCH,
    Affine,
    Conv,
    Depthwise,
    LayerNorm,
    Linear,
    parameter,
)
from jaxattr.models.perceptron import Perceptron, perceptron_rules
from jaxattr.models.squeeze_excite import SqueezeExcite, squeeze_excite_rules
from jaxattr.typing import Array

LAYER_NORM_EPSILON = 1e-5


class Shape(NamedTuple):
    """How deep and wide."""

    stem: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    head_dim: int
    partition: int
    """Rows and columns of a window, and of the grid."""


class MBConv(nnx.Module):
    """Expand, depthwise, squeeze and excite, project; added to the input."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation):
        width, squeezed = 4 * outputs, outputs // 4
        self.norm = Affine(inputs)
        self.expand = Linear(inputs, width)
        self.depthwise = Depthwise(width, 3, stride=stride, padding="symmetric")
        self.squeeze_excite = SqueezeExcite(width, squeezed, activation=jax.nn.silu)
        self.project = Linear(width, outputs, gain=BRANCH)
        alike = stride == 1 and inputs == outputs
        self.shortcut = None if alike else Linear(inputs, outputs)
        self.stride, self.activation = stride, activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        y = self.activation(self.depthwise(self.activation(self.expand(self.norm(x)))))
        y = self.project(self.squeeze_excite(y))
        if self.shortcut is None:
            return x + y
        return (
            self.shortcut(x if self.stride == 1 else mean_pool(x, 3, self.stride)) + y
        )


class PartitionAttention(nnx.Module):
    """Attention among the pixels of a window, or among those of a grid's cells."""

    def __init__(self, channels: int, shape: Shape, grid: bool, activation: Activation):
        heads, side = channels // shape.head_dim, 2 * shape.partition - 1
        self.norm1 = LayerNorm(channels, LAYER_NORM_EPSILON)
        self.attention = SelfAttention(channels, heads, scale=channels**-0.5)
        self.bias_table = parameter(side * side, heads)
        self.norm2 = LayerNorm(channels, LAYER_NORM_EPSILON)
        self.mlp = Perceptron(channels, 4 * channels, activation)
        self.partition, self.grid = shape.partition, grid

    def __call__(self, x: Array) -> Array:  # noqa: D102
        rows, height, width, channels = x.shape
        p = self.partition
        if height % p or width % p:
            raise fail("images", f"features that divide into {p}x{p} partitions", x)
        # In a window the inner indices attend to each other, in the grid the outer ones.
        block = (height // p, width // p) if self.grid else (p, p)
        x = to_blocks(x, *block)
        order = (0, 2, 4, 1, 3, 5) if self.grid else (0, 1, 3, 2, 4, 5)
        x = x.transpose(order)
        # One group of axes at a time, for shardings.
        parted = x.shape
        x = x.reshape(-1, *parted[3:]).reshape(-1, p * p, channels)
        bias = relative_bias(self.bias_table[...], p)
        x = x + self.attention(self.norm1(x), bias)
        x = x + self.mlp(self.norm2(x))
        x = x.reshape(-1, p, p, channels).reshape(parted)
        x = x.transpose([order.index(i) for i in range(6)])
        return x.reshape(rows, height, *x.shape[3:]).reshape(
            rows, height, width, channels
        )


class MaxViTLayer(nnx.Module):
    """Convolution, window, grid."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        shape: Shape,
        stride: int,
        activation: Activation,
    ):
        self.conv = MBConv(inputs, outputs, stride, activation)
        self.window = PartitionAttention(outputs, shape, False, activation)
        self.grid = PartitionAttention(outputs, shape, True, activation)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        x = self.conv(x)
        # Each attention has a name, as each block of a transformer has.
        with jax.named_scope("window"):
            x = self.window(x)
        with jax.named_scope("grid"):
            return self.grid(x)


class MaxViT(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``.

    Height and width must divide by ``2^(1 + stages) · partition`` (224 for MaxViT-T).
    """

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        self.activation = gelu if activation is None else activation
        self.conv1 = Conv(3, shape.stem, 3, stride=2, padding="symmetric")
        self.conv2 = Conv(shape.stem, shape.stem, 3, padding="symmetric")
        channels, stages = shape.stem, []
        for outputs, depth in zip(shape.channels, shape.depths, strict=True):
            stage = []
            for j in range(depth):
                stride = 2 if j == 0 else 1
                stage.append(
                    MaxViTLayer(channels, outputs, shape, stride, self.activation)
                )
                channels = outputs
            stages.append(nnx.List(stage))
        self.blocks = nnx.List(stages)
        self.norm = LayerNorm(channels, LAYER_NORM_EPSILON)
        self.fc1 = Linear(channels, channels)
        self.fc2 = Linear(channels, num_classes)
        self.split_layer = f"blocks.{len(stages) - 1}"

    def chain(self) -> Chain:  # noqa: D102
        return {
            "stem": lambda x: self.conv2(self.activation(self.conv1(x))),
            **{
                f"blocks.{i}.layers.{j}": layer
                for i, stage in enumerate(self.blocks)
                for j, layer in enumerate(stage)
            },
            "pool": global_mean,
            "norm": self.norm,
            "classifier": lambda x: self.fc2(jnp.tanh(self.fc1(x))),
        }


def rules(shape: Shape) -> list[Rule]:
    """Names as in torchvision."""
    table: list[Rule] = [
        LayerRule("conv1", "stem.0.0", norm="stem.0.1"),
        LayerRule("conv2", "stem.1.0"),
    ]
    for i, depth in enumerate(shape.depths):
        for j in range(depth):
            ours, theirs = f"blocks/{i}/{j}", f"blocks.{i}.layers.{j}.layers"
            table += _conv_rules(f"{ours}/conv", f"{theirs}.MBconv")
            if j == 0:
                # The first of a stage has a stride, and a pooling before this.
                table.append(
                    LayerRule(f"{ours}/conv/shortcut", f"{theirs}.MBconv.proj.1")
                )
            for part in ("window", "grid"):
                table += _attention_rules(
                    f"{ours}/{part}", f"{theirs}.{part}_attention"
                )
    return [
        *table,
        LayerNormRule("norm", "classifier.2"),
        LayerRule("fc1", "classifier.3"),
        LayerRule("fc2", "classifier.5", bias=False),
    ]


def _conv_rules(ours: str, theirs: str) -> list[Rule]:
    theirs = f"{theirs}.layers"
    return [
        BatchNormRule(f"{ours}/norm", f"{theirs}.pre_norm"),
        LayerRule(f"{ours}/expand", f"{theirs}.conv_a.0", norm=f"{theirs}.conv_a.1"),
        LayerRule(f"{ours}/depthwise", f"{theirs}.conv_b.0", norm=f"{theirs}.conv_b.1"),
        *squeeze_excite_rules(
            f"{ours}/squeeze_excite", f"{theirs}.squeeze_excitation", ("fc1", "fc2")
        ),
        LayerRule(f"{ours}/project", f"{theirs}.conv_c"),
    ]


def _attention_rules(ours: str, theirs: str) -> list[Rule]:
    attention, mlp = f"{theirs}.attn_layer", f"{theirs}.mlp_layer"
    return [
        LayerNormRule(f"{ours}/norm1", f"{attention}.0"),
        LayerRule(f"{ours}/attention/qkv", f"{attention}.1.to_qkv"),
        LayerRule(f"{ours}/attention/project", f"{attention}.1.merge"),
        ArrayRule(f"{ours}/bias_table", f"{attention}.1.relative_position_bias_table"),
        LayerNormRule(f"{ours}/norm2", f"{mlp}.0"),
        *perceptron_rules(f"{ours}/mlp", (f"{mlp}.1", f"{mlp}.3")),
    ]


T = Shape(64, (64, 128, 256, 512), (2, 2, 5, 2), 32, 7)

MODELS = {
    "maxvit_t": Entry(
        build=functools.partial(MaxViT, T),
        sources={
            "torchvision": imagenet_source(
                functools.partial(rules, T),
                preprocessings=photo_preprocessings(224, 224, "bicubic"),
                epsilon=1e-3,
                top_1=83.70,
                megabytes=124.5,
            )
        },
    ),
}
