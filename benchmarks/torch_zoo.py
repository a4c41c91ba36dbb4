"""Torchvision's own networks with weights drawn by torch, and the same numbers here."""

from __future__ import annotations

from typing import Any

from jaxattr import models
from jaxattr.models.catalog import MODELS
from jaxattr.models.classifier import Config
from jaxattr.models.loading import from_tensors

_LIBRARIES: list[Any] = []
"""Kept alive: an operator lasts as long as its library."""


def import_torchvision() -> Any:
    """Built for another torch, it lacks two operators that classifiers do not use."""
    import torch

    if not _LIBRARIES:
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + schema)
        _LIBRARIES.append(library)
    import torchvision

    return torchvision


def load_both(name: str) -> tuple[models.Classifier, Any]:
    """A classifier, and torch's on images ``(N, 3, H, W)`` in [0, 1]."""
    import torch

    torchvision = import_torchvision()
    torch.manual_seed(0)
    options = {"transform_input": False} if name == "inception_v3" else {}
    network = getattr(torchvision.models, name)(weights=None, **options).eval()
    source = MODELS[name].sources["torchvision"]
    config = Config(name, "torchvision", 1000, None, None, source.padding, "crop")
    tensors = {k: v.numpy() for k, v in network.state_dict().items()}
    classifier = models.Classifier(from_tensors(config, tensors, "torch"), config)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (source.mean, source.std))
    return classifier, lambda x: network((x - mean) / std)
