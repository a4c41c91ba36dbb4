"""Models as callers give them: names, callable pytrees, plain functions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.evaluation.runs.digests import digest, identify
from jaxattr.typing import Array, LogitsFn

if TYPE_CHECKING:
    from PIL import Image


class Model(Protocol):
    """What jobs over photographs ask of a classifier; those of ``jaxattr.models`` are."""

    @property
    def name(self) -> str:
        """How results call it."""
        ...

    @property
    def input_size(self) -> int | tuple[int, ...]:
        """Height and width in pixels, or one number for both."""
        ...

    @property
    def labels(self) -> Sequence[str] | None:
        """The names of the classes, where they have names."""
        ...

    def preprocess(self, image: Image.Image) -> ArrayLike:
        """A photograph as the model sees it, ``(H, W, 3)`` in [0, 1]."""
        ...

    def __call__(self, images: Array) -> Array:
        """Images ``(N, H, W, 3)`` to logits ``(N, K)``."""
        ...


Models = str | LogitsFn | Iterable[str | LogitsFn] | Mapping[str, LogitsFn]
"""One or several, by name or as they are."""

References = str | os.PathLike[str] | ArrayLike | Array | None
"""Images that stand for the data, ``(R, H, W, C)``, or a folder of photographs."""


def as_models(models: Models) -> dict[str, LogitsFn]:
    """Name to model.

    Args:
      models: a mapping from names, or models with a ``name``, or names of
        ``jaxattr.models``, one or several.

    Raises:
      ValueError: an unknown name, a name given twice, or what cannot be called.
    """
    if isinstance(models, str) or callable(models):
        models = [models]
    named: dict[str, LogitsFn] = {}
    if isinstance(models, Mapping):
        named.update(models)
    else:
        for given in models:
            model = _load(given) if isinstance(given, str) else given
            function_name = getattr(model, "__name__", "model")
            name = str(getattr(model, "name", None) or function_name)
            if name in named:
                raise ValueError(f"models: {name} is asked for twice")
            named[name] = model
    for name, model in named.items():
        if not callable(model):
            raise fail(f"models[{name!r}]", "a callable, images to logits", model)
    if not named:
        raise fail("models", "at least one", models)
    return named


def _load(name: str) -> LogitsFn:
    from jaxattr.models import load

    return load(name)


def as_argument(model: LogitsFn) -> LogitsFn:
    """A model that jitted functions take: a plain function is a constant of theirs."""
    leaves = jax.tree.leaves(model)
    return jax.tree_util.Partial(model) if any(x is model for x in leaves) else model


def identity(model: LogitsFn) -> object:
    """What tells the model from another of the same name."""
    argument = as_argument(model)
    return digest(argument) if argument is model else identify(model)


def image_size(model: Model) -> tuple[int, int]:
    """Height and width of what ``preprocess`` returns."""
    size = model.input_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def label_name(model: Model, label: int) -> str:
    """The name of a class, or its number where the model has no names."""
    return model.labels[label] if model.labels else f"class {label}"


def as_seen(model: Model, image: Image.Image) -> np.ndarray:
    """A photograph as the model sees it, float32 ``(H, W, 3)``."""
    return np.asarray(model.preprocess(image), np.float32)
