"""What a model made elsewhere has beside its logits: size, classes, preparation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxattr._checks import check_choice
from jaxattr.models.labels import class_labels
from jaxattr.models.preprocessing import Preprocessing
from jaxattr.typing import Array

CROPPED_FROM = 256 / 224
"""Short side of a photograph over the side that is cut from it, as is usual."""
PREPROCESSINGS = ("crop", "squash")


@dataclasses.dataclass(frozen=True)
class Outside:
    """Name, input size, classes and preparation, as jobs over photographs ask for them."""

    name: str
    input_size: tuple[int, int]
    num_classes: int
    preprocessing: str
    """One of ``PREPROCESSINGS``."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; numbers in words where they are not ImageNet's."""
        return class_labels(self.num_classes)

    def preprocess(self, photo: object) -> np.ndarray:
        """A PIL image or array to float32 ``(H, W, 3)`` in [0, 1]."""
        short = round(min(self.input_size) * CROPPED_FROM)
        cropped = self.preprocessing == "crop"
        prepare = Preprocessing(self.input_size, short if cropped else None, "bilinear")
        return prepare(photo)


def automatic(function: Callable[..., Array], images: Array) -> Callable[..., Array]:
    """A function to logits that says nothing of shardings, for images that have one.

    On a mesh of explicit axes the compiler chooses inside; rows stay where they are.
    """
    sharding = jax.typeof(images).sharding
    if sharding.mesh.empty or AxisType.Explicit not in sharding.mesh.axis_types:
        return function
    rows = NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[0], None))
    return jax.sharding.auto_axes(function, out_sharding=rows)


def check_preprocessing(preprocessing: object) -> str:
    """One of ``PREPROCESSINGS``."""
    return check_choice("preprocessing", preprocessing, PREPROCESSINGS)
