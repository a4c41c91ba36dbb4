"""VGG, with batch norm and without.

References:
  K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
  Recognition", ICLR 2015, arXiv:1409.1556.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import adaptive_mean
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source
from jaxattr.models.layers import Conv, Linear, Window
from jaxattr.typing import Array

WIDTHS = (64, 128, 256, 512, 512)
Depths = tuple[int, int, int, int, int]
"""Convolutions before each of the five poolings."""


class VGG(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    def __init__(
        self,
        depths: Depths,
        batch_norm: bool = False,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        self.activation = jax.nn.relu if activation is None else activation
        # Torchvision numbers the activations, and the norms where there are any.
        self.depths, self.step = depths, 3 if batch_norm else 2
        channels, convs = 3, []
        for width, depth in zip(WIDTHS, depths, strict=True):
            for _ in range(depth):
                convs.append(Conv(channels, width, 3, padding="symmetric"))
                channels = width
        self.features = nnx.List(convs)
        self.fc1 = Window(channels, 4096, 7)
        self.fc2 = Linear(4096, 4096)
        self.fc3 = Linear(4096, num_classes)
        # Before the last pooling, where the features have most places.
        self.split_layer = f"features.{self.step * len(convs) + 3}"

    def chain(self) -> Chain:  # noqa: D102
        convs, layers, index = iter(self.features), {}, 0
        for depth in self.depths:
            for _ in range(depth):
                index += self.step
                layers[f"features.{index - 1}"] = self._activated(next(convs))
            layers[f"features.{index}"] = lambda x: max_pool(x, 2, 2)
            index += 1
        return {
            **layers,
            "avgpool": lambda x: adaptive_mean(x, 7),
            "classifier.1": self._activated(self.fc1),
            "classifier.4": self._activated(self.fc2),
            "classifier.6": self.fc3,
        }

    def _activated(self, layer: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda x: self.activation(layer(x))


def rules(depths: Depths, batch_norm: bool, head: tuple[str, str, str]) -> list[Rule]:
    """Names as in torchvision and timm, which name the last three layers otherwise."""
    table: list[Rule] = []
    index = 0
    for depth in depths:
        for _ in range(depth):
            norm = f"features.{index + 1}" if batch_norm else None
            ours, theirs = f"features/{len(table)}", f"features.{index}"
            table.append(LayerRule(ours, theirs, norm=norm, bias=True))
            index += 3 if batch_norm else 2
        index += 1
    return [
        *table,
        *(LayerRule(f"fc{i + 1}", theirs) for i, theirs in enumerate(head)),
    ]


TORCHVISION_HEAD = ("classifier.0", "classifier.3", "classifier.6")
TIMM_HEAD = ("pre_logits.fc1", "pre_logits.fc2", "head.fc")


def _model(name: str, depths: Depths, batch_norm: bool, top_1: float) -> Entry:
    table = functools.partial(rules, depths, batch_norm)
    megabytes = {11: 531.5, 13: 532.2, 16: 553.4, 19: 574.7}[sum(depths) + 3]
    hub = Hub(f"timm/{name}.tv_in1k", top_1, megabytes)
    return Entry(
        build=functools.partial(VGG, depths, batch_norm),
        sources={
            "timm": imagenet_source(functools.partial(table, TIMM_HEAD), hub),
            "torchvision": imagenet_source(
                functools.partial(table, TORCHVISION_HEAD),
                top_1=top_1,
                megabytes=megabytes,
            ),
        },
    )


_DEPTHS: dict[str, tuple[Depths, float, float]] = {
    "vgg11": ((1, 1, 2, 2, 2), 69.02, 70.37),
    "vgg13": ((2, 2, 2, 2, 2), 69.93, 71.59),
    "vgg16": ((2, 2, 3, 3, 3), 71.59, 73.36),
    "vgg19": ((2, 2, 4, 4, 4), 72.38, 74.22),
}

MODELS = {
    name: _model(name, depths, batch_norm, top_1)
    for plain, (depths, *top_1s) in _DEPTHS.items()
    for name, batch_norm, top_1 in zip((plain, f"{plain}_bn"), (False, True), top_1s)
}
