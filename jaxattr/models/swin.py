"""Swin and Swin-V2: attention in windows, shifted in every second block.

References:
  Z. Liu, Y. Lin, Y. Cao, H. Hu, Y. Wei, Z. Zhang, S. Lin, B. Guo, "Swin Transformer:
  Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, arXiv:2103.14030.
  Z. Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022,
  arXiv:2111.09883.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.blocks import to_blocks
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import pad
from jaxattr.models.activations import Activation, gelu
from jaxattr.models.attention import CosineAttention, SelfAttention, relative_bias
from jaxattr.models.chain import Chain
from jaxattr.models.convert import (
    ArrayRule,
    KeylessRule,
    LayerNormRule,
    LayerRule,
    Rule,
)
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.layers import LayerNorm, Linear, Patches, parameter
from jaxattr.models.perceptron import Perceptron, perceptron_rules
from jaxattr.models.shifted_windows import in_windows
from jaxattr.typing import Array

EPSILON = 1e-5
"""Of the layer norms."""
HIDDEN = 512
"""Units of the network that has the biases of Swin-V2."""


class Shape(NamedTuple):
    """How deep and wide."""

    channels: int
    """Of the first stage; each has twice as many as the one before."""
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    window: int = 7
    patch: int = 4
    second: bool = False
    """Whether it is Swin-V2."""


class Block(nnx.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window: int,
        shift: int,
        activation: Activation,
    ):
        self.norm1 = LayerNorm(channels, EPSILON)
        self.attention = SelfAttention(channels, num_heads)
        self.bias_table = parameter((2 * window - 1) ** 2, num_heads)
        self.norm2 = LayerNorm(channels, EPSILON)
        self.mlp = Perceptron(channels, 4 * channels, activation)
        self.window, self.shift = window, shift

    def __call__(self, x: Array) -> Array:  # noqa: D102
        bias = relative_bias(self.bias_table[...], self.window)
        x = x + in_windows(self.attention, self.norm1(x), bias, self.window, self.shift)
        return x + self.mlp(self.norm2(x))


class BlockV2(nnx.Module):
    """``x + norm(attention(x))``, then ``x + norm(mlp(x))``.

    The attention is one of cosines, and the biases of its logits are
    ``16 σ(f(displacement))``, f a perceptron.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window: int,
        shift: int,
        activation: Activation,
    ):
        self.attention = CosineAttention(channels, num_heads)
        self.bias1 = Linear(2, HIDDEN)
        self.bias2 = Linear(HIDDEN, num_heads)
        self.norm1 = LayerNorm(channels, EPSILON)
        self.mlp = Perceptron(channels, 4 * channels, activation)
        self.norm2 = LayerNorm(channels, EPSILON)
        self.window, self.shift = window, shift

    def __call__(self, x: Array) -> Array:  # noqa: D102
        displacements = jnp.asarray(
            _displacements(self.window), self.bias1.kernel.dtype
        )
        table = self.bias2(jax.nn.relu(self.bias1(displacements)))
        bias = relative_bias(16.0 * jax.nn.sigmoid(table), self.window)
        x = x + self.norm1(in_windows(self.attention, x, bias, self.window, self.shift))
        return x + self.norm2(self.mlp(x))


def _displacements(window: int) -> np.ndarray:
    """``((2 window - 1)², 2)``: rows and columns, on a scale that is logarithmic."""
    steps = 8 * np.arange(1 - window, window) / max(window - 1, 1)
    steps = np.sign(steps) * np.log2(np.abs(steps) + 1) / 3
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


class Merging(nnx.Module):
    """2x2 pixels side by side, to twice the channels of one; a norm before or after."""

    def __init__(self, channels: int, norm_first: bool):
        self.norm = LayerNorm((4 if norm_first else 2) * channels, EPSILON)
        self.reduction = Linear(4 * channels, 2 * channels)
        self.norm_first = norm_first

    def __call__(self, x: Array) -> Array:  # noqa: D102
        x = pad(x, ((0, x.shape[1] % 2), (0, x.shape[2] % 2)))
        # Of the four first the upper and the lower left one.
        x = to_blocks(x, 2, 2).transpose(0, 1, 3, 4, 2, 5)
        x = x.reshape(*x.shape[:3], -1)
        if self.norm_first:
            return self.reduction(self.norm(x))
        return self.norm(self.reduction(x))


class Swin(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``, any H and W."""

    split_layer = "norm"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        activation = gelu if activation is None else activation
        make: type[Block | BlockV2] = BlockV2 if shape.second else Block
        channels, window = shape.channels, shape.window
        self.patches = Patches(3, channels, shape.patch)
        self.patch_norm = LayerNorm(channels, EPSILON)
        stages, mergings = [], []
        for i, (depth, heads) in enumerate(
            zip(shape.depths, shape.num_heads, strict=True)
        ):
            if i > 0:
                mergings.append(Merging(channels, norm_first=not shape.second))
                channels *= 2
            shifts = [j % 2 * (window // 2) for j in range(depth)]
            stages.append(
                nnx.List(make(channels, heads, window, s, activation) for s in shifts)
            )
        self.stages, self.mergings = nnx.List(stages), nnx.List(mergings)
        self.norm = LayerNorm(channels, EPSILON)
        self.head = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        layers: Chain = {"features.0": lambda x: self.patch_norm(self.patches(x))}
        for i, stage in enumerate(self.stages):
            if i > 0:
                layers[f"features.{2 * i}"] = self.mergings[i - 1]
            for j, block in enumerate(stage):
                layers[f"features.{2 * i + 1}.{j}"] = block
        return {**layers, "norm": self.norm, "avgpool": global_mean, "head": self.head}


class Names(NamedTuple):
    """What a library calls the modules; braces stand for numbers of stage and block."""

    patches: str
    patch_norm: str
    merging: str
    """``before`` is the number of the stage before it, ``index`` of the one after."""
    block: str
    mlp: tuple[str, str]
    head: str
    separate_biases: bool
    """Whether those of queries and of values are two tensors in Swin-V2."""


TORCHVISION = Names(
    patches="features.0.0",
    patch_norm="features.0.2",
    merging="features.{merging}",
    block="features.{stage}.{block}",
    mlp=("mlp.0", "mlp.3"),
    head="head",
    separate_biases=False,
)
TIMM = Names(
    patches="patch_embed.proj",
    patch_norm="patch_embed.norm",
    merging="layers.{index}.downsample",
    block="layers.{index}.blocks.{block}",
    mlp=("mlp.fc1", "mlp.fc2"),
    head="head.fc",
    separate_biases=True,
)
MICROSOFT = TIMM._replace(merging="layers.{before}.downsample", head="head")
"""Of the authors' files, of timm's first versions and of most robust networks."""


def rules(shape: Shape, names: Names) -> list[Rule]:
    """Names as in torchvision, in timm or as the authors have them."""
    table: list[Rule] = [
        LayerRule("patches/window", names.patches),
        LayerNormRule("patch_norm", names.patch_norm),
    ]
    for i, depth in enumerate(shape.depths):
        number = {"index": i, "before": i - 1, "merging": 2 * i, "stage": 2 * i + 1}
        if i > 0:
            ours, theirs = f"mergings/{i - 1}", names.merging.format(**number)
            table += [
                LayerNormRule(f"{ours}/norm", f"{theirs}.norm"),
                LayerRule(f"{ours}/reduction", f"{theirs}.reduction", bias=False),
            ]
        for j in range(depth):
            ours = f"stages/{i}/{j}"
            theirs = names.block.format(block=j, **number)
            first, second = (f"{theirs}.{layer}" for layer in names.mlp)
            table += [
                *_attention_rules(ours, theirs, shape, names),
                LayerNormRule(f"{ours}/norm1", f"{theirs}.norm1"),
                LayerNormRule(f"{ours}/norm2", f"{theirs}.norm2"),
                *perceptron_rules(f"{ours}/mlp", (first, second)),
            ]
    return [*table, LayerNormRule("norm", "norm"), LayerRule("head", names.head)]


def _attention_rules(ours: str, theirs: str, shape: Shape, names: Names) -> list[Rule]:
    qkv, attention = (f"{ours}/attention/qkv", f"{theirs}.attn")
    project = LayerRule(f"{ours}/attention/project", f"{attention}.proj")
    if not shape.second:
        return [
            LayerRule(qkv, f"{attention}.qkv"),
            project,
            ArrayRule(
                f"{ours}/bias_table", f"{attention}.relative_position_bias_table"
            ),
        ]
    return [
        KeylessRule(qkv, f"{attention}.qkv", names.separate_biases),
        project,
        ArrayRule(f"{ours}/attention/logit_scale", f"{attention}.logit_scale"),
        LayerRule(f"{ours}/bias1", f"{attention}.cpb_mlp.0"),
        LayerRule(f"{ours}/bias2", f"{attention}.cpb_mlp.2", bias=False),
    ]


def _model(
    shape: Shape,
    hub: Hub,
    size: int,
    short_side: int,
    top_1: float,
    torchvision: tuple[int, float, float] | None = None,
) -> Entry:
    """``short_side`` and ``top_1`` of the authors, ``torchvision`` has its own and MB."""
    named = lambda names: functools.partial(rules, shape, names)
    prepare = photo_preprocessings(size, short_side, "bicubic")
    sources = {"timm": imagenet_source(named(TIMM), hub, preprocessings=prepare)}
    if torchvision is not None:
        short_side, accuracy, megabytes = torchvision
        sources["torchvision"] = imagenet_source(
            named(TORCHVISION),
            preprocessings=photo_preprocessings(size, short_side, "bicubic"),
            top_1=accuracy,
            megabytes=megabytes,
        )
    sources["microsoft"] = imagenet_source(
        named(MICROSOFT), preprocessings=prepare, top_1=top_1
    )
    return Entry(build=functools.partial(Swin, shape), sources=sources)


T = Shape(96, (2, 2, 6, 2), (3, 6, 12, 24))
S = Shape(96, (2, 2, 18, 2), (3, 6, 12, 24))
B = Shape(128, (2, 2, 18, 2), (4, 8, 16, 32))
L = Shape(192, (2, 2, 18, 2), (6, 12, 24, 48))
V2_T = T._replace(window=8, second=True)

MODELS = {
    "swin_t": _model(
        T,
        Hub("timm/swin_tiny_patch4_window7_224.ms_in1k", 81.39, 113.2),
        *(224, 248, 81.2, (232, 81.47, 113.4)),
    ),
    "swin_s": _model(
        S,
        Hub("timm/swin_small_patch4_window7_224.ms_in1k", 83.23, 198.5),
        *(224, 248, 83.2, (246, 83.20, 199.0)),
    ),
    "swin_b": _model(
        B,
        Hub("timm/swin_base_patch4_window7_224.ms_in1k", 83.60, 351.1),
        *(224, 248, 83.5, (238, 83.58, 351.7)),
    ),
    "swin_l": _model(
        L,
        Hub("timm/swin_large_patch4_window7_224.ms_in22k_ft_in1k", 86.31, 786.1),
        *(224, 248, 86.3),
    ),
    "swin_v2_t": _model(
        V2_T,
        Hub("timm/swinv2_tiny_window8_256.ms_in1k", 81.82, 113.4),
        *(256, 284, 81.8, (260, 82.07, 113.9)),
    ),
}
