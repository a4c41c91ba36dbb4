"""What the catalog keeps of a model: how it is built, where its weights come from.

No network is here: each family has a file of its own, which ends with its entries.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from flax import nnx

from jaxattr._pixels import IMAGENET_MEAN, IMAGENET_STDDEV
from jaxattr.checkpoints.locations import Hub, Package
from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.convert import Rule
from jaxattr.models.preprocessing import Preprocessing

HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation that take [0, 1] to [-1, 1]."""
AS_IS = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Mean and standard deviation of networks that take [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One set of weights, or one family of them: names, normalisation, preparation."""

    rules: Callable[[], list[Rule]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preprocessings: Mapping[str, Preprocessing]
    """The first is what ``top_1`` was measured with."""
    padding: Padding = "symmetric"
    epsilon: float = 1e-5
    """Of the batch norms."""
    location: Package | Hub | None = None
    top_1: float | None = None
    """Percent, where there is no location to say so."""
    megabytes: float | None = None
    """Of the file as its authors give it away, where there is no location."""
    activation: Activation | None = None
    """Of the network that these weights are of, where it is not the architecture's."""
    ignored_prefixes: tuple[str, ...] = ()
    """Of tensors that inference does without, beside ``convert.IGNORED_SUFFIXES``."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """An architecture and its sources of weights; the first is the default."""

    build: Callable[..., nnx.Module]
    sources: Mapping[str, Source]
    paddings: tuple[str, ...] = ()
    """What ``build(padding=...)`` takes, if it takes one."""
    num_classes: int = 1000
    """Of the data set that its weights are for."""


def photo_preprocessings(
    size: int = 224, short_side: int = 256, interpolation: str = "bilinear"
) -> dict[str, Preprocessing]:
    """The centre of the photograph, or all of it squashed.

    Of networks that torchvision crops from 256 pixels it has second sets of weights,
    in the same names, which it crops from 232.
    """
    shape = (size, size)
    result = {
        "crop": Preprocessing(shape, short_side, interpolation),
        "squash": Preprocessing(shape, interpolation=interpolation),
    }
    if short_side == 256:
        result["crop_232"] = Preprocessing(shape, 232, interpolation)
    return result


def imagenet_source(
    rules: Callable[[], list[Rule]], location: Package | Hub | None = None, **changes
) -> Source:
    """A source as torchvision prepares its first set of weights."""
    options = {
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STDDEV,
        "preprocessings": photo_preprocessings(),
        "location": location,
    }
    return Source(rules, **options | changes)
