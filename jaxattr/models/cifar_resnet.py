"""ResNet for images of 32 x 32 pixels: a stem without stride, no pooling after it.

The names are those of most robust networks for CIFAR-10, RobustBench's and those of the
robustness library.

References:
  K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR
  2016, arXiv:1512.03385. F. Croce et al., "RobustBench: a standardized adversarial
  robustness benchmark", NeurIPS 2021, arXiv:2010.09670.
"""

from __future__ import annotations

import functools

import jax
from flax import nnx

from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.convolutions.padding import Padding
from jaxattr.models import resnet
from jaxattr.models.activations import Activation
from jaxattr.models.chain import Chain
from jaxattr.models.entries import AS_IS, Entry, Source, photo_preprocessings
from jaxattr.models.layers import Conv, Linear
from jaxattr.models.resnet import Shape


class CifarResNet(nnx.Module):
    """Images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "layer4"

    def __init__(
        self,
        shape: Shape,
        *,
        num_classes: int = 10,
        activation: Activation | None = None,
        padding: Padding = "symmetric",
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.conv1 = Conv(3, 64, 3, padding=padding)
        stages, channels = resnet.stages(shape, self.activation, padding)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        blocks = resnet.named_blocks(self.layer1, self.layer2, self.layer3, self.layer4)
        return {
            "stem": lambda x: self.activation(self.conv1(x)),
            **blocks,
            "avgpool": global_mean,
            "linear": self.fc,
        }


def _model(shape: Shape) -> Entry:
    rules = functools.partial(resnet.rules, shape, "shortcut", "linear")
    return Entry(
        build=functools.partial(CifarResNet, shape),
        sources={
            "robustbench": Source(
                rules, *AS_IS, preprocessings=photo_preprocessings(32, 32)
            )
        },
        paddings=("symmetric", "tf_same"),
        num_classes=10,
    )


MODELS = {
    "cifar_resnet18": _model(Shape((2, 2, 2, 2), bottleneck=False)),
    "cifar_resnet50": _model(Shape((3, 4, 6, 3))),
}
