"""SqueezeNet 1.0 and 1.1.

References:
  F. Iandola, S. Han, M. Moskewicz, K. Ashraf, W. Dally, K. Keutzer, "SqueezeNet:
  AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016,
  arXiv:1602.07360.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain, Layer
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source
from jaxattr.models.layers import Conv, Linear
from jaxattr.typing import Array

WIDTHS = (64, 64, 128, 128, 192, 192, 256, 256)
"""Of either half of a fire module."""


class Version(NamedTuple):
    """The first convolution, and what torchvision calls the poolings and modules."""

    channels: int
    window: int
    pools: tuple[int, ...]
    fires: tuple[int, ...]


V1_0 = Version(96, 7, pools=(2, 6, 11), fires=(3, 4, 5, 7, 8, 9, 10, 12))
V1_1 = Version(64, 3, pools=(2, 5, 8), fires=(3, 4, 6, 7, 9, 10, 11, 12))


class Fire(nnx.Module):
    """Squeezed by a 1x1 convolution, expanded by 1x1 and 3x3 side by side."""

    def __init__(self, inputs: int, width: int, activation: Activation):
        squeezed = width // 4
        self.squeeze = Linear(inputs, squeezed)
        self.expand1x1 = Linear(squeezed, width)
        self.expand3x3 = Conv(squeezed, width, 3, padding="symmetric")
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        x = self.activation(self.squeeze(x))
        both = jnp.concatenate([self.expand1x1(x), self.expand3x3(x)], axis=-1)
        return self.activation(both)


class SqueezeNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "features.12"

    def __init__(
        self,
        version: Version,
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.version = version
        self.stem = Conv(3, version.channels, version.window, stride=2, padding="valid")
        channels, fires = version.channels, []
        for width in WIDTHS:
            fires.append(Fire(channels, width, self.activation))
            channels = 2 * width
        self.fires = nnx.List(fires)
        self.classifier = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        features: dict[int, Layer] = {
            **dict(zip(self.version.fires, self.fires, strict=True)),
            **dict.fromkeys(self.version.pools, _pool),
        }
        return {
            "features.1": lambda x: self.activation(self.stem(x)),
            **{f"features.{i}": features[i] for i in sorted(features)},
            "classifier.2": lambda x: self.activation(self.classifier(x)),
            "classifier.3": global_mean,
        }


def _pool(x: Array) -> Array:
    return max_pool(x, 3, 2, ceil_mode=True)


def rules(version: Version) -> list[Rule]:
    """Names as in torchvision."""
    table: list[Rule] = [LayerRule("stem", "features.0")]
    for i, theirs in enumerate(version.fires):
        table += [
            LayerRule(f"fires/{i}/{part}", f"features.{theirs}.{part}")
            for part in ("squeeze", "expand1x1", "expand3x3")
        ]
    return [*table, LayerRule("classifier", "classifier.1")]


MODELS = {
    name: Entry(
        build=functools.partial(SqueezeNet, version),
        sources={
            "torchvision": imagenet_source(
                functools.partial(rules, version), top_1=top_1, megabytes=5.0
            )
        },
    )
    for name, version, top_1 in (
        ("squeezenet1_0", V1_0, 58.09),
        ("squeezenet1_1", V1_1, 58.18),
    )
}
