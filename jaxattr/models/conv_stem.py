"""Several small convolutions in the place of the one that cuts an image into patches.

Robust networks have them in the place of the patches of ConvNeXt and of vision
transformers.

References:
  N. D. Singh, F. Croce, M. Hein, "Revisiting Adversarial Training for ImageNet:
  Architectures, Training and Generalization across Threat Models", NeurIPS 2023,
  arXiv:2303.01870.
"""

from __future__ import annotations

from flax import nnx

from jaxattr.models.activations import Activation
from jaxattr.models.convert import LayerNormRule, LayerRule, Rule
from jaxattr.models.layers import Conv, LayerNorm, Linear
from jaxattr.typing import Array

EPSILON = 1e-6
"""Of the layer norms."""

Stem = tuple[tuple[int, int], ...]
"""Channels and stride of each convolution."""


class ConvStem(nnx.Module):
    """``activation(norm(conv(x)))`` for each convolution, 3x3; then a matrix, if any."""

    def __init__(
        self,
        inputs: int,
        stem: Stem,
        activation: Activation,
        *,
        outputs: int | None = None,
    ):
        channels = inputs
        convs, norms = [], []
        for width, stride in stem:
            convs.append(Conv(channels, width, 3, stride=stride, padding="symmetric"))
            norms.append(LayerNorm(width, EPSILON))
            channels = width
        self.convs, self.norms = nnx.List(convs), nnx.List(norms)
        self.project = None if outputs is None else Linear(channels, outputs)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.activation(norm(conv(x)))
        return x if self.project is None else self.project(x)


def conv_stem_rules(
    ours: str, theirs: str, stem: Stem, *, projects: bool
) -> list[Rule]:
    """Names as in the networks of the paper, whose modules are numbered."""
    table: list[Rule] = []
    for i in range(len(stem)):
        table += [
            LayerRule(f"{ours}/convs/{i}", f"{theirs}.{3 * i}"),
            LayerNormRule(f"{ours}/norms/{i}", f"{theirs}.{3 * i + 1}"),
        ]
    if projects:
        table.append(LayerRule(f"{ours}/project", f"{theirs}.{3 * len(stem)}"))
    return table
