"""Every model by name."""

from __future__ import annotations

from jaxattr.models import (
    alexnet,
    cifar_resnet,
    cifar_wide_resnet,
    convnext,
    densenet,
    efficientnet,
    efficientnet_lite,
    googlenet,
    inception,
    maxvit,
    mnasnet,
    mobilenet_v2,
    mobilenet_v3,
    regnet,
    resnet,
    shufflenet_v2,
    squeezenet,
    swin,
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
    **alexnet.MODELS,
    **googlenet.MODELS,
    **densenet.MODELS,
    **mobilenet_v3.MODELS,
    **mnasnet.MODELS,
    **efficientnet.MODELS,
    **shufflenet_v2.MODELS,
    **regnet.MODELS,
    **convnext.MODELS,
    **swin.MODELS,
}
