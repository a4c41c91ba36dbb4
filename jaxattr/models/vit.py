"""Vision transformers with a class token and learned positions.

References:
  A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv:2010.11929.
  H. Touvron et al., "Training data-efficient image transformers & distillation through
  attention", ICML 2021, arXiv:2012.12877. With a stem of convolutions: N. D. Singh, F.
  Croce, M. Hein, "Revisiting Adversarial Training for ImageNet: Architectures, Training
  and Generalization across Threat Models", NeurIPS 2023, arXiv:2303.01870.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx

from jaxattr._checks import fail
from jaxattr._numerics.dtypes import accumulator
from jaxattr._pixels import IMAGENET_MEAN, IMAGENET_STDDEV
from jaxattr.checkpoints.locations import Hub
from jaxattr.models.activations import Activation, gelu
from jaxattr.models.attention import SelfAttention
from jaxattr.models.chain import Chain
from jaxattr.models.conv_stem import ConvStem, Stem, conv_stem_rules
from jaxattr.models.convert import ArrayRule, LayerNormRule, LayerRule, Rule
from jaxattr.models.entries import (
    AS_IS,
    HALF,
    Entry,
    imagenet_source,
    photo_preprocessings,
)
from jaxattr.models.layers import LayerNorm, Linear, Patches, parameter
from jaxattr.models.perceptron import Perceptron, perceptron_rules
from jaxattr.typing import Array


class Shape(NamedTuple):
    """The sizes of a vision transformer."""

    patch: int
    channels: int
    depth: int
    num_heads: int
    hidden: int
    """Channels inside the blocks' perceptrons."""
    image: int = 224
    image_channels: int = 3
    qkv_bias: bool = True
    final_norm: bool = True
    head_hidden: int | None = None
    """Channels of a hidden layer in the head, if it has one."""
    epsilon: float = 1e-6
    """Of the layer norms."""
    stem: Stem = ()
    """Convolutions in the place of patches, if any; a matrix follows them."""

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (self.image // self.patch) ** 2 + 1


class Block(nnx.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(self, shape: Shape, activation: Activation):
        channels = shape.channels
        self.norm1 = LayerNorm(channels, shape.epsilon)
        self.attention = SelfAttention(channels, shape.num_heads)
        self.norm2 = LayerNorm(channels, shape.epsilon)
        self.mlp = Perceptron(channels, shape.hidden, activation)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nnx.Module):
    """Normalised images ``(N, H, W, C)`` of the size it has positions for, to logits.

    It is split before its last block, in which only the class token still matters.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        self.shape = shape
        self.activation = gelu if activation is None else activation
        channels = shape.channels
        self.patches = (
            ConvStem(
                shape.image_channels, shape.stem, self.activation, outputs=channels
            )
            if shape.stem
            else Patches(shape.image_channels, channels, shape.patch)
        )
        self.class_token = parameter(1, 1, channels)
        self.positions = parameter(1, shape.tokens, channels)
        blocks = [Block(shape, self.activation) for _ in range(shape.depth)]
        self.blocks = nnx.List(blocks)
        self.norm = LayerNorm(channels, shape.epsilon) if shape.final_norm else None
        hidden = shape.head_hidden
        self.head_hidden = None if hidden is None else Linear(channels, hidden)
        self.head = Linear(channels if hidden is None else hidden, num_classes)
        self.split_layer = f"blocks.{max(shape.depth - 2, 0)}"

    def chain(self) -> Chain:  # noqa: D102
        norm = {} if self.norm is None else {"norm": self.norm}
        return {
            "tokens": self._tokens,
            **{f"blocks.{i}": block for i, block in enumerate(self.blocks)},
            **norm,
            "head": self._head,
        }

    def _tokens(self, x: Array) -> Array:
        size = self.shape.image
        if x.shape[1:3] != (size, size):
            raise fail("images", f"{size}x{size} pixels, as its positions are", x)
        patches = self.patches(x)
        patches = patches.reshape(x.shape[0], -1, patches.shape[-1])
        token = self.class_token[...].astype(x.dtype)
        # Added to zeros rather than broadcast: so it is sharded as the images are.
        token = jnp.zeros_like(patches[:, :1]) + token
        return jnp.concatenate([token, patches], 1) + self.positions[...].astype(
            x.dtype
        )

    def _head(self, x: Array) -> Array:
        # The logits of half-precision models are float32.
        x = x[:, 0].astype(accumulator(x.dtype))
        if self.head_hidden is not None:
            x = self.activation(self.head_hidden(x))
        return self.head(x)


def timm_rules(shape: Shape) -> list[Rule]:
    """Names as in timm's ``VisionTransformer``, which DeiT shares."""
    projection = "patch_embed.proj"
    patches: list[Rule] = [LayerRule("patches/window", projection)]
    if shape.stem:
        patches = conv_stem_rules(
            "patches", f"{projection}.stem", shape.stem, projects=True
        )
    table: list[Rule] = [
        *patches,
        ArrayRule("class_token", "cls_token"),
        ArrayRule("positions", "pos_embed"),
    ]
    for i in range(shape.depth):
        ours, theirs = f"blocks/{i}", f"blocks.{i}"
        table += [
            LayerNormRule(f"{ours}/norm1", f"{theirs}.norm1"),
            LayerRule(
                f"{ours}/attention/qkv", f"{theirs}.attn.qkv", bias=shape.qkv_bias
            ),
            LayerRule(f"{ours}/attention/project", f"{theirs}.attn.proj"),
            LayerNormRule(f"{ours}/norm2", f"{theirs}.norm2"),
            *perceptron_rules(
                f"{ours}/mlp", (f"{theirs}.mlp.fc1", f"{theirs}.mlp.fc2")
            ),
        ]
    if shape.final_norm:
        table.append(LayerNormRule("norm", "norm"))
    if shape.head_hidden is None:
        return [*table, LayerRule("head", "head")]
    return [*table, LayerRule("head_hidden", "head.0"), LayerRule("head", "head.2")]


def torchvision_rules(shape: Shape) -> list[Rule]:
    """Names as in torchvision's ``VisionTransformer``."""
    table: list[Rule] = [
        LayerRule("patches/window", "conv_proj"),
        ArrayRule("class_token", "class_token"),
        ArrayRule("positions", "encoder.pos_embedding"),
    ]
    for i in range(shape.depth):
        ours, theirs = f"blocks/{i}", f"encoder.layers.encoder_layer_{i}"
        attention = f"{theirs}.self_attention"
        table += [
            LayerNormRule(f"{ours}/norm1", f"{theirs}.ln_1"),
            LayerRule(f"{ours}/attention/qkv", f"{attention}.in_proj", joint="_"),
            LayerRule(f"{ours}/attention/project", f"{attention}.out_proj"),
            LayerNormRule(f"{ours}/norm2", f"{theirs}.ln_2"),
            *perceptron_rules(f"{ours}/mlp", (f"{theirs}.mlp.0", f"{theirs}.mlp.3")),
        ]
    return [
        *table,
        LayerNormRule("norm", "encoder.ln"),
        LayerRule("head", "heads.head"),
    ]


TINY = Shape(16, 192, 12, 3, 768)
SMALL = Shape(16, 384, 12, 6, 1536)
BASE = Shape(16, 768, 12, 12, 3072)
BASE_32 = BASE._replace(patch=32)
LARGE = Shape(16, 1024, 24, 16, 4096)


def _model(
    shape: Shape, hub: Hub, torchvision: tuple[float, float, int] | None = None
) -> Entry:
    source = imagenet_source(
        functools.partial(timm_rules, shape),
        hub,
        preprocessings=photo_preprocessings(224, 248, "bicubic"),
    )
    if "deit" not in hub.repository:
        source = dataclasses.replace(source, mean=HALF, std=HALF)
    sources = {"timm": source}
    if torchvision is not None:
        top_1, megabytes, short_side = torchvision
        sources["torchvision"] = imagenet_source(
            functools.partial(torchvision_rules, shape),
            preprocessings=photo_preprocessings(224, short_side),
            top_1=top_1,
            megabytes=megabytes,
        )
    return Entry(build=functools.partial(ViT, shape), sources=sources)


def _robust(
    shape: Shape, top_1: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> Entry:
    """The networks of Singh, Croce and Hein, in RobustBench's names."""
    shape = shape._replace(stem=((48, 2), (96, 2), (192, 2), (384, 2)))
    source = imagenet_source(
        functools.partial(timm_rules, shape),
        preprocessings=photo_preprocessings(224, 256, "bicubic"),
        top_1=top_1,
        mean=mean,
        std=std,
    )
    return Entry(build=functools.partial(ViT, shape), sources={"robustbench": source})


def _augreg(name: str, top_1: float, megabytes: float, recipe: str = "augreg") -> Hub:
    return Hub(f"timm/{name}.{recipe}_in21k_ft_in1k", top_1, megabytes)


MODELS = {
    "vit_b_16": _model(
        BASE,
        _augreg("vit_base_patch16_224", 85.11, 346.3, "augreg2"),
        torchvision=(81.07, 346.3, 256),
    ),
    "vit_b_32": _model(
        BASE_32,
        _augreg("vit_base_patch32_224", 80.73, 352.9),
        torchvision=(75.91, 353.0, 256),
    ),
    "vit_l_16": _model(
        LARGE,
        _augreg("vit_large_patch16_224", 85.86, 1217.3),
        torchvision=(79.66, 1217.4, 242),
    ),
    "vit_tiny_patch16_224": _model(TINY, _augreg("vit_tiny_patch16_224", 75.45, 22.9)),
    "vit_small_patch16_224": _model(
        SMALL, _augreg("vit_small_patch16_224", 81.40, 88.2)
    ),
    "deit_tiny_patch16_224": _model(
        TINY, Hub("timm/deit_tiny_patch16_224.fb_in1k", 72.19, 22.9)
    ),
    "deit_small_patch16_224": _model(
        SMALL, Hub("timm/deit_small_patch16_224.fb_in1k", 79.86, 88.2)
    ),
    "vit_small_convstem": _robust(SMALL, 72.56, IMAGENET_MEAN, IMAGENET_STDDEV),
    "vit_base_convstem": _robust(BASE, 76.30, *AS_IS),
}
