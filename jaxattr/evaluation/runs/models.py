"""Models as callers give them: names, callable pytrees, plain functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from jaxattr._checks import fail
from jaxattr.evaluation.runs.parts import digest, identify


def as_models(models: Any) -> dict[str, Any]:
    """Name to model.

    Args:
      models: a mapping from names, or models with a ``name``, or names of
        ``jaxattr.models``, one or several.

    Raises:
      ValueError: an unknown name, a name given twice, or what cannot be called.
    """
    if isinstance(models, str) or callable(models):
        models = [models]
    if not isinstance(models, Mapping):
        named = {}
        for model in models:
            if isinstance(model, str):
                from jaxattr.models import load

                model = load(model)
            name = getattr(model, "name", None) or getattr(model, "__name__", "model")
            if name in named:
                raise ValueError(f"models: {name} is asked for twice")
            named[name] = model
        models = named
    for name, model in models.items():
        if not callable(model):
            raise fail(f"models[{name!r}]", "a callable, images to logits", model)
    if not models:
        raise fail("models", "at least one", models)
    return dict(models)


def as_argument(model: Any) -> Any:
    """A model that jitted functions take: a plain function is a constant of theirs."""
    leaves = jax.tree.leaves(model)
    return jax.tree_util.Partial(model) if any(x is model for x in leaves) else model


def identity(model: Any) -> Any:
    """What tells the model from another of the same name."""
    argument = as_argument(model)
    return digest(argument) if argument is model else identify(model)
