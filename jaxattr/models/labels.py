"""The names of the classes."""

from __future__ import annotations

import functools
from importlib import resources


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1000 classes of ILSVRC-2012 in the usual order, one short name each.

    The names are unique: WordNet's two cranes and two maillots are told apart.
    """
    text = resources.files("jaxattr.models").joinpath("imagenet_classes.txt")
    return tuple(text.read_text("utf-8").splitlines())


def class_labels(num_classes: int) -> tuple[str, ...]:
    """ImageNet's names for 1000 classes; for any other number, the numbers."""
    if num_classes == 1000:
        return imagenet_labels()
    return tuple(str(i) for i in range(num_classes))
