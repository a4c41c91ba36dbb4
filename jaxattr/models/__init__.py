"""Pretrained image classifiers as callable pytrees: ``names`` and ``load``.

The only package of the library that uses Flax. To add a model: write its architecture
and its rules in a file of its family, and an entry in ``catalog``.
"""

from jaxattr.models.classifier import Classifier
from jaxattr.models.loading import load, names

__all__ = ["Classifier", "load", "names"]
