"""AlexNet, as torchvision has it: in one column.

References:
  A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep
  Convolutional Neural Networks", NeurIPS 2012. A. Krizhevsky, "One weird trick for
  parallelizing convolutional neural networks", 2014, arXiv:1404.5997.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from flax import nnx

from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import adaptive_mean
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import Entry, imagenet_source
from jaxattr.models.layers import Conv, Linear, Window
from jaxattr.typing import Array

CONVOLUTIONS = {0: (64, 11), 3: (192, 5), 6: (384, 3), 8: (256, 3), 10: (256, 3)}
"""Width and window by torchvision's number; an activation has the next number."""
POOLS = (2, 5, 12)


class AlexNet(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "features.11"

    def __init__(
        self, *, num_classes: int = 1000, activation: Activation | None = None
    ):
        self.activation = jax.nn.relu if activation is None else activation
        channels, convs = 3, []
        for number, (width, window) in CONVOLUTIONS.items():
            stride, margin = (4, 2) if number == 0 else (1, window // 2)
            padding = ((margin, margin), (margin, margin))
            convs.append(Conv(channels, width, window, stride=stride, padding=padding))
            channels = width
        self.features = nnx.List(convs)
        self.fc1 = Window(channels, 4096, 6)
        self.fc2 = Linear(4096, 4096)
        self.fc3 = Linear(4096, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        numbered = zip(CONVOLUTIONS, self.features, strict=True)
        layers = {number + 1: self._activated(conv) for number, conv in numbered}
        layers |= dict.fromkeys(POOLS, lambda x: max_pool(x, 3, 2))
        return {
            **{f"features.{number}": layers[number] for number in sorted(layers)},
            "avgpool": lambda x: adaptive_mean(x, 6),
            "classifier.2": self._activated(self.fc1),
            "classifier.5": self._activated(self.fc2),
            "classifier.6": self.fc3,
        }

    def _activated(self, layer: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda x: self.activation(layer(x))


def rules() -> list[Rule]:
    """Names as in torchvision."""
    return [
        *(
            LayerRule(f"features/{i}", f"features.{number}")
            for i, number in enumerate(CONVOLUTIONS)
        ),
        *(LayerRule(f"fc{i + 1}", f"classifier.{n}") for i, n in enumerate((1, 4, 6))),
    ]


MODELS = {
    "alexnet": Entry(
        build=AlexNet,
        sources={"torchvision": imagenet_source(rules, top_1=56.52, megabytes=244.4)},
    ),
}
