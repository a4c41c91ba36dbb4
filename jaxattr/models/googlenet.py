"""GoogLeNet, the first Inception, as torchvision has it: with batch norm.

References:
  C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke,
  A. Rabinovich, "Going Deeper with Convolutions", CVPR 2015, arXiv:1409.4842.
"""

from __future__ import annotations

import jax
from flax import nnx

from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.models.activations import Activation
from jaxattr.models.branches import Branch, Branches, Unit, branch_rules
from jaxattr.models.chain import Chain, Layer
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import HALF, Entry, imagenet_source
from jaxattr.models.layers import Linear
from jaxattr.typing import Array


def _pool(x: Array) -> Array:
    return max_pool(x, 3, 2, ceil_mode=True)


def _narrow_pool(x: Array) -> Array:
    return max_pool(x, 2, 2, ceil_mode=True)


def _same_pool(x: Array) -> Array:
    return max_pool(x, 3, 1, padding="symmetric")


def _inception(*widths: int) -> tuple[Branch, ...]:
    one, squeezed3, three, squeezed5, five, pooled = widths
    return (
        (Unit("branch1", one),),
        (Unit("branch2.0", squeezed3), Unit("branch2.1", three, 3)),
        # Torchvision's window is 3 where the paper's is 5, and the weights are too.
        (Unit("branch3.0", squeezed5), Unit("branch3.1", five, 3)),
        (_same_pool, Unit("branch4.1", pooled)),
    )


LAYERS: dict[str, tuple[Branch, ...] | Layer] = {
    "conv1": ((Unit("conv1", 64, 7, 2),),),
    "maxpool1": _pool,
    "conv2": ((Unit("conv2", 64),),),
    "conv3": ((Unit("conv3", 192, 3),),),
    "maxpool2": _pool,
    "inception3a": _inception(64, 96, 128, 16, 32, 32),
    "inception3b": _inception(128, 128, 192, 32, 96, 64),
    "maxpool3": _pool,
    "inception4a": _inception(192, 96, 208, 16, 48, 64),
    "inception4b": _inception(160, 112, 224, 24, 64, 64),
    "inception4c": _inception(128, 128, 256, 24, 64, 64),
    "inception4d": _inception(112, 144, 288, 32, 64, 64),
    "inception4e": _inception(256, 160, 320, 32, 128, 128),
    "maxpool4": _narrow_pool,
    "inception5a": _inception(256, 160, 320, 32, 128, 128),
    "inception5b": _inception(384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "inception5b"

    def __init__(
        self, *, num_classes: int = 1000, activation: Activation | None = None
    ):
        activation = jax.nn.relu if activation is None else activation
        channels = 3
        for name, layer in LAYERS.items():
            if isinstance(layer, tuple):
                block = Branches(channels, layer, activation)
                setattr(self, name, block)
                channels = block.outputs
        self.fc = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        return {
            **{
                name: getattr(self, name) if isinstance(layer, tuple) else layer
                for name, layer in LAYERS.items()
            },
            "avgpool": global_mean,
            "fc": self.fc,
        }


def rules() -> list[Rule]:
    """Names as in torchvision."""
    table: list[Rule] = []
    for name, layer in LAYERS.items():
        if isinstance(layer, tuple):
            # The convolutions of the stem are no part of a module.
            theirs = f"{name}." if name.startswith("inception") else ""
            table += branch_rules(name, theirs, layer)
    return [*table, LayerRule("fc", "fc")]


MODELS = {
    "googlenet": Entry(
        build=GoogLeNet,
        sources={
            # ImageNet's mean and deviation undone by ``transform_input``: [-1, 1].
            "torchvision": imagenet_source(
                rules,
                mean=HALF,
                std=HALF,
                epsilon=1e-3,
                top_1=69.78,
                megabytes=52.1,
                ignored_prefixes=("aux1.", "aux2."),
            ),
        },
    ),
}
