"""Pretrained image classifiers as callable pytrees: ``names`` and ``load``.

The only package of the library that uses Flax. ``docs/models.md`` says how a network is
added.
"""

from jaxattr.models.activations import PackedRelu, SmoothRelu
from jaxattr.models.classifier import Classifier, Split
from jaxattr.models.exported import ExportedModel, from_exported
from jaxattr.models.exporting import export
from jaxattr.models.finding import Description, descriptions, fetch, installed
from jaxattr.models.loading import load, names
from jaxattr.models.torch_module import TorchModel, from_torch

__all__ = [
    "Classifier",
    "Description",
    "ExportedModel",
    "PackedRelu",
    "SmoothRelu",
    "Split",
    "TorchModel",
    "descriptions",
    "export",
    "fetch",
    "from_exported",
    "from_torch",
    "installed",
    "load",
    "names",
]
