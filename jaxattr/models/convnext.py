"""ConvNeXt: depthwise 7x7 convolutions in the place of attention.

References:
  Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell, S. Xie, "A ConvNet for the
  2020s", CVPR 2022, arXiv:2201.03545. With a stem of convolutions: N. D. Singh, F.
  Croce, M. Hein, "Revisiting Adversarial Training for ImageNet: Architectures, Training
  and Generalization across Threat Models", NeurIPS 2023, arXiv:2303.01870.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.models.activations import Activation, gelu
from jaxattr.models.chain import Chain
from jaxattr.models.conv_stem import ConvStem, Stem, conv_stem_rules
from jaxattr.models.convert import LayerNormRule, LayerRule, Rule
from jaxattr.models.entries import (
    AS_IS,
    Entry,
    imagenet_source,
    photo_preprocessings,
)
from jaxattr.models.layers import Depthwise, LayerNorm, Linear, Patches
from jaxattr.models.perceptron import Perceptron, perceptron_rules
from jaxattr.typing import Array

EPSILON = 1e-6
"""Of the layer norms."""


class Shape(NamedTuple):
    """How deep and wide."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    stem: Stem = ()
    """Convolutions in the place of patches of 4x4 pixels, if any."""


class Block(nnx.Module):
    """Depthwise, norm, perceptron; added to the input."""

    def __init__(self, channels: int, activation: Activation):
        self.depthwise = Depthwise(channels, 7, padding="symmetric")
        self.norm = LayerNorm(channels, EPSILON)
        self.mlp = Perceptron(channels, 4 * channels, activation)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        return x + self.mlp(self.norm(self.depthwise(x)))


class Downsampling(nnx.Module):
    """Norm, then a matrix on every 2x2 pixels."""

    def __init__(self, inputs: int, outputs: int):
        self.norm = LayerNorm(inputs, EPSILON)
        self.patches = Patches(inputs, outputs, 2)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        return self.patches(self.norm(x))


class ConvNeXt(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "features.7"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        activation = gelu if activation is None else activation
        if shape.stem:
            self.stem = ConvStem(3, shape.stem, activation)
        else:
            self.patches = Patches(3, shape.widths[0], 4)
            self.patch_norm = LayerNorm(shape.widths[0], EPSILON)
        self.patchifies = not shape.stem
        self.downsamplings = nnx.List(
            Downsampling(*pair)
            for pair in zip(shape.widths[:-1], shape.widths[1:], strict=True)
        )
        self.stages = nnx.List(
            nnx.List(Block(width, activation) for _ in range(depth))
            for depth, width in zip(shape.depths, shape.widths, strict=True)
        )
        self.norm = LayerNorm(shape.widths[-1], EPSILON)
        self.classifier = Linear(shape.widths[-1], num_classes)

    def chain(self) -> Chain:  # noqa: D102
        layers: Chain = {"features.0": self._first}
        for i, stage in enumerate(self.stages):
            if i > 0:
                layers[f"features.{2 * i}"] = self.downsamplings[i - 1]
            for j, block in enumerate(stage):
                layers[f"features.{2 * i + 1}.{j}"] = block
        return {
            **layers,
            "avgpool": global_mean,
            "classifier.0": self.norm,
            "classifier.2": self.classifier,
        }

    def _first(self, x: Array) -> Array:
        return self.patch_norm(self.patches(x)) if self.patchifies else self.stem(x)


class Names(NamedTuple):
    """What a library calls the modules; braces stand for numbers of stage and block."""

    stem: str
    downsampling: str
    block: str
    parts: tuple[str, str, str, str]
    """Depthwise, norm and the two layers of the perceptron."""
    scale: str
    norm: str
    classifier: str


TORCHVISION = Names(
    stem="features.0",
    downsampling="features.{down}",
    block="features.{stage}.{block}",
    parts=("block.0", "block.2", "block.3", "block.5"),
    scale="layer_scale",
    norm="classifier.0",
    classifier="classifier.2",
)
TIMM = Names(
    stem="stem",
    downsampling="stages.{index}.downsample",
    block="stages.{index}.blocks.{block}",
    parts=("conv_dw", "norm", "mlp.fc1", "mlp.fc2"),
    scale="gamma",
    norm="head.norm",
    classifier="head.fc",
)


def rules(shape: Shape, names: Names) -> list[Rule]:
    """Names as in torchvision or in timm."""
    table: list[Rule] = [
        LayerRule("patches/window", f"{names.stem}.0"),
        LayerNormRule("patch_norm", f"{names.stem}.1"),
    ]
    if shape.stem:
        table = conv_stem_rules(
            "stem", f"{names.stem}.stem", shape.stem, projects=False
        )
    for i, depth in enumerate(shape.depths):
        number = {"index": i, "down": 2 * i, "stage": 2 * i + 1}
        if i > 0:
            ours, theirs = f"downsamplings/{i - 1}", names.downsampling.format(**number)
            table += [
                LayerNormRule(f"{ours}/norm", f"{theirs}.0"),
                LayerRule(f"{ours}/patches/window", f"{theirs}.1"),
            ]
        for j in range(depth):
            ours = f"stages/{i}/{j}"
            theirs = names.block.format(block=j, **number)
            depthwise, norm, *mlp = (f"{theirs}.{part}" for part in names.parts)
            table += [
                LayerRule(f"{ours}/depthwise", depthwise),
                LayerNormRule(f"{ours}/norm", norm),
                *perceptron_rules(
                    f"{ours}/mlp", (mlp[0], mlp[1]), f"{theirs}.{names.scale}"
                ),
            ]
    return [
        *table,
        LayerNormRule("norm", names.norm),
        LayerRule("classifier", names.classifier),
    ]


def _model(
    shape: Shape, hub: Hub, short_side: int, top_1: float, megabytes: float
) -> Entry:
    return Entry(
        build=functools.partial(ConvNeXt, shape),
        sources={
            "timm": imagenet_source(
                functools.partial(rules, shape, TIMM),
                hub,
                preprocessings=photo_preprocessings(224, 256, "bicubic"),
            ),
            "torchvision": imagenet_source(
                functools.partial(rules, shape, TORCHVISION),
                preprocessings=photo_preprocessings(224, short_side),
                top_1=top_1,
                megabytes=megabytes,
            ),
        },
    )


def _robust(shape: Shape, stem: Stem, top_1: float) -> Entry:
    """The networks of Singh, Croce and Hein, in RobustBench's names; pixels as they are."""
    shape = shape._replace(stem=stem)
    source = imagenet_source(
        functools.partial(rules, shape, TIMM),
        preprocessings=photo_preprocessings(224, 256, "bicubic"),
        top_1=top_1,
        mean=AS_IS[0],
        std=AS_IS[1],
    )
    return Entry(
        build=functools.partial(ConvNeXt, shape), sources={"robustbench": source}
    )


T = Shape((3, 3, 9, 3), (96, 192, 384, 768))
S = Shape((3, 3, 27, 3), (96, 192, 384, 768))
B = Shape((3, 3, 27, 3), (128, 256, 512, 1024))
L = Shape((3, 3, 27, 3), (192, 384, 768, 1536))

MODELS = {
    "convnext_tiny": _model(
        T,
        Hub("timm/convnext_tiny.fb_in1k", 82.07, 114.4),
        *(236, 82.52, 114.4),
    ),
    "convnext_small": _model(
        S,
        Hub("timm/convnext_small.fb_in1k", 83.14, 200.9),
        *(230, 83.62, 201.0),
    ),
    "convnext_base": _model(
        B,
        Hub("timm/convnext_base.fb_in1k", 83.84, 354.4),
        *(232, 84.06, 354.5),
    ),
    "convnext_large": _model(
        L,
        Hub("timm/convnext_large.fb_in1k", 84.28, 791.1),
        *(232, 84.41, 791.2),
    ),
    "convnext_tiny_convstem": _robust(T, ((48, 2), (96, 2)), 72.72),
    "convnext_small_convstem": _robust(S, ((48, 2), (96, 2)), 74.10),
    "convnext_base_convstem": _robust(B, ((64, 2), (96, 2), (128, 1)), 75.90),
    "convnext_large_convstem": _robust(L, ((96, 2), (144, 2), (192, 1)), 77.00),
}
