"""ShuffleNetV2: half of the channels pass, half are convolved, then they are mixed.

References:
  N. Ma, X. Zhang, H.-T. Zheng, J. Sun, "ShuffleNet V2: Practical Guidelines for
  Efficient CNN Architecture Design", ECCV 2018, arXiv:1807.11164.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source, photo_preprocessings
from jaxattr.models.layers import Conv, Depthwise, Linear
from jaxattr.typing import Array

DEPTHS = {"stage2": 4, "stage3": 8, "stage4": 4}
STEM = 24


class Branch(nnx.Module):
    """1x1 (or none), depthwise, 1x1; an activation after each but the depthwise one."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        squeezed: bool,
        activation: Activation,
    ):
        self.first = Linear(inputs, outputs) if squeezed else None
        channels = outputs if squeezed else inputs
        self.depthwise = Depthwise(channels, 3, stride=stride, padding="symmetric")
        self.last = Linear(channels, outputs)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        if self.first is not None:
            x = self.activation(self.first(x))
        return self.activation(self.last(self.depthwise(x)))


class Unit(nnx.Module):
    """Two branches whose channels alternate; with stride 1 the first is the identity."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation):
        half, down = outputs // 2, stride > 1
        branch = functools.partial(Branch, stride=stride, activation=activation)
        self.branch1 = branch(inputs, half, squeezed=False) if down else None
        self.branch2 = branch(inputs if down else half, half, squeezed=True)

    def __call__(self, x: Array) -> Array:  # noqa: D102
        if self.branch1 is None:
            half = x.shape[-1] // 2
            return _alternate(x[..., :half], self.branch2(x[..., half:]))
        return _alternate(self.branch1(x), self.branch2(x))


def _alternate(a: Array, b: Array) -> Array:
    """Channels ``a₀ b₀ a₁ b₁ …``."""
    return jnp.stack([a, b], -1).reshape(*a.shape[:-1], 2 * a.shape[-1])


class ShuffleNetV2(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "conv5"

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        *,
        num_classes: int = 1000,
        activation: Activation | None = None,
    ):
        self.activation = jax.nn.relu if activation is None else activation
        *stages, head = widths
        self.conv1 = Conv(3, STEM, 3, stride=2, padding="symmetric")
        channels = STEM
        for (name, depth), width in zip(DEPTHS.items(), stages, strict=True):
            units = []
            for i in range(depth):
                stride = 2 if i == 0 else 1
                units.append(Unit(channels, width, stride, self.activation))
                channels = width
            setattr(self, name, nnx.List(units))
        self.conv5 = Linear(channels, head)
        self.fc = Linear(head, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        return {
            "conv1": lambda x: self.activation(self.conv1(x)),
            "maxpool": lambda x: max_pool(x, 3, 2, padding="symmetric"),
            **{
                f"{name}.{i}": unit
                for name in DEPTHS
                for i, unit in enumerate(getattr(self, name))
            },
            "conv5": lambda x: self.activation(self.conv5(x)),
            "pool": global_mean,
            "fc": self.fc,
        }


def rules() -> list[Rule]:
    """Names as in torchvision."""
    first = {"depthwise": 0, "last": 2}
    second = {"first": 0, "depthwise": 3, "last": 5}
    table: list[Rule] = [LayerRule("conv1", "conv1.0", norm="conv1.1")]
    for name, depth in DEPTHS.items():
        for i in range(depth):
            branches = {"branch1": first} if i == 0 else {}
            for branch, parts in (branches | {"branch2": second}).items():
                theirs = f"{name}.{i}.{branch}"
                table += [
                    LayerRule(
                        f"{name}/{i}/{branch}/{part}",
                        f"{theirs}.{number}",
                        norm=f"{theirs}.{number + 1}",
                    )
                    for part, number in parts.items()
                ]
    return [
        *table,
        LayerRule("conv5", "conv5.0", norm="conv5.1"),
        LayerRule("fc", "fc"),
    ]


def _model(
    widths: tuple[int, int, int, int], top_1: float, megabytes: float, short_side: int
) -> Entry:
    source = imagenet_source(
        rules,
        preprocessings=photo_preprocessings(224, short_side),
        top_1=top_1,
        megabytes=megabytes,
    )
    return Entry(
        build=functools.partial(ShuffleNetV2, widths), sources={"torchvision": source}
    )


MODELS = {
    "shufflenet_v2_x0_5": _model((48, 96, 192, 1024), 60.55, 5.5, 256),
    "shufflenet_v2_x1_0": _model((116, 232, 464, 1024), 69.36, 9.2, 256),
    "shufflenet_v2_x1_5": _model((176, 352, 704, 1024), 73.00, 14.2, 232),
    "shufflenet_v2_x2_0": _model((244, 488, 976, 2048), 76.23, 29.8, 232),
}
