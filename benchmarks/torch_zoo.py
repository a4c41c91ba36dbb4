"""The networks of torchvision, or else of timm, and the same numbers here."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.torch_efficientnet_lite0 import load_torch_model
from jaxattr import models
from jaxattr.models.catalog import MODELS
from jaxattr.models.classifier import Config
from jaxattr.models.loading import from_tensors

_LIBRARIES: list[Any] = []
"""Kept alive: an operator lasts as long as its library."""


def import_torchvision() -> Any:
    """Built for another torch, it lacks two operators that classifiers do not use."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + schema)
        _LIBRARIES.append(library)
        import torchvision

    return torchvision


def load_both(name: str, dtype: str | None = None) -> tuple[models.Classifier, Any]:
    """A classifier, and torch's module on images ``(N, 3, H, W)`` in [0, 1].

    With the same weights: drawn ones, and for EfficientNet-Lite0 the trained ones.
    ``dtype`` is what ours computes in.
    """
    import torch

    if name == "efficientnet_lite0":
        return models.load(name, dtype=dtype), load_torch_model()

    class Normalised(torch.nn.Module):
        def __init__(self, network, mean, stddev):
            super().__init__()
            self.network = network
            for k, v in (("mean", mean), ("stddev", stddev)):
                self.register_buffer(k, torch.tensor(v).view(3, 1, 1))

        def forward(self, x):
            return self.network((x - self.mean) / self.stddev)

    torchvision = import_torchvision()
    torch.manual_seed(0)
    if "torchvision" in MODELS[name].sources:
        library, options = "torchvision", {}
        if name in ("inception_v3", "googlenet"):
            options = {"transform_input": False, "init_weights": False}
        network = getattr(torchvision.models, name)(weights=None, **options)
    else:
        import timm

        library, network = "timm", timm.create_model(f"tf_{name}")
    for parameter in network.parameters():
        # torchvision's vision transformers begin with a head of zeros.
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    source = MODELS[name].sources[library]
    config = Config(name, library, 1000, None, dtype, source.padding, "crop")
    tensors = {k: v.numpy() for k, v in network.state_dict().items()}
    classifier = models.Classifier(from_tensors(config, tensors, "torch"), config)
    return classifier, Normalised(network, source.mean, source.std).eval()
