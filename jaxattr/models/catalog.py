"""Every model by name."""

from __future__ import annotations

from jaxattr.models import (
    cifar_resnet,
    cifar_wide_resnet,
    efficientnet_lite,
    inception,
    maxvit,
    mobilenet_v2,
    resnet,
    squeezenet,
    vgg,
    vit,
)
from jaxattr.models.entries import Entry

MODELS: dict[str, Entry] = {
    **efficientnet_lite.MODELS,
    **resnet.MODELS,
    **vgg.MODELS,
    **squeezenet.MODELS,
    **mobilenet_v2.MODELS,
    **inception.MODELS,
    **vit.MODELS,
    **maxvit.MODELS,
    **cifar_resnet.MODELS,
    **cifar_wide_resnet.MODELS,
}
