"""Pretrained image classifiers as callable pytrees: ``names`` and ``load``.

The only package of the library that uses Flax. To add a model: write its architecture,
its rules and its entries in a file of its family, and name that in ``catalog``.
"""

from jaxattr.models.activations import SmoothRelu
from jaxattr.models.classifier import Classifier, Split
from jaxattr.models.loading import load, names
from jaxattr.models.weights import Description, descriptions, fetch

__all__ = [
    "Classifier",
    "Description",
    "SmoothRelu",
    "Split",
    "descriptions",
    "fetch",
    "load",
    "names",
]
