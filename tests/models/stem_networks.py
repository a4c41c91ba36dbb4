"""Robust networks with a stem of convolutions in torch, written from their paper.

timm's networks with another first module, whose parts are named as in published
checkpoints. Only ``make_goldens.py`` imports it.
"""

from __future__ import annotations

import timm
from timm.layers import LayerNorm2d
from torch import nn

STEMS = {
    "convnext_tiny": (((48, 2), (96, 2)), None),
    "convnext_small": (((48, 2), (96, 2)), None),
    "convnext_base": (((64, 2), (96, 2), (128, 1)), None),
    "convnext_large": (((96, 2), (144, 2), (192, 1)), None),
    "vit_small": (((48, 2), (96, 2), (192, 2), (384, 2)), 384),
    "vit_base": (((48, 2), (96, 2), (192, 2), (384, 2)), 768),
}
"""Channels and stride of each convolution, and the outputs of a last one of 1x1."""


class Stem(nn.Module):
    def __init__(self, convolutions, outputs: int | None):
        super().__init__()
        channels, layers = 3, []
        for width, stride in convolutions:
            layers.append(nn.Conv2d(channels, width, 3, stride, 1))
            layers += [LayerNorm2d(width, eps=1e-6), nn.GELU()]
            channels = width
        if outputs is not None:
            layers.append(nn.Conv2d(channels, outputs, 1))
        self.stem = nn.Sequential(*layers)

    def forward(self, x):
        return self.stem(x)


def build(model: str, num_classes: int) -> nn.Module:
    """``convnext_tiny_convstem`` and so on."""
    name = model.removesuffix("_convstem")
    stem = Stem(*STEMS[name])
    if name.startswith("vit"):
        network = timm.create_model(f"{name}_patch16_224", num_classes=num_classes)
        network.patch_embed.proj = stem
    else:
        network = timm.create_model(name, num_classes=num_classes)
        network.stem = stem
    return network
