"""A model whose logits are looked at when it is first traced or called, at no pass."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._errors import describe, fail
from jaxattr.typing import Array, LogitsFn

PAGE = "docs/models.md shows how to adapt a model"


def checked_model(
    model: LogitsFn, labels: Array | None, name: str = "logits_fn"
) -> LogitsFn:
    """The model, whose logits are checked, and labels against their number."""
    if isinstance(model, _CheckedModel):
        name = model.name
        model = model.model
    _refuse_modules(model, name)
    known = labels is not None and _is_known(labels)
    values = np.asarray(jax.device_get(labels)) if known else None
    return _CheckedModel(model, name, values)


def checked_head(head: LogitsFn, labels: Array) -> LogitsFn:
    """The second half of a model, features to logits, checked alike."""
    return checked_model(head, labels, "logits_fn.head")


class _CheckedModel:
    """Stands in for a model: its attributes are the model's."""

    def __init__(self, model: LogitsFn, name: str, labels: np.ndarray | None) -> None:
        self.model, self.name, self.labels = model, name, labels

    def __getattr__(self, attribute: str) -> Any:
        # What Python looks up by itself is its own.
        if attribute == "model" or attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(self.model, attribute)

    def __call__(self, images: Array) -> Array:
        try:
            logits = self.model(images)
        except Exception as error:
            hint = _hint(self.model)
            if hint:
                error.add_note(f"{self.name}: {hint}; {PAGE}")
            raise
        return _check_logits(self.model, self.name, logits, images, self.labels)


def _check_logits(
    model: object, name: str, logits: Array, images: Array, labels: np.ndarray | None
) -> Array:
    num_rows = images.shape[0]
    is_array = hasattr(logits, "shape") and hasattr(logits, "dtype")
    if not (
        is_array
        and len(logits.shape) == 2
        and logits.shape[0] == num_rows
        and jnp.issubdtype(logits.dtype, jnp.floating)
    ):
        hint = _hint(model) or _other_output(logits, num_rows)
        raise ValueError(
            f"{name}: expected a function of {list(images.shape)} that returns "
            f"float logits ({num_rows}, K), one row an image, got "
            f"{_describe_output(logits)}; {hint + '; ' if hint else ''}{PAGE}"
        )
    num_classes = logits.shape[1]
    if num_classes < 2:
        raise ValueError(
            f"{name}: expected logits of at least two classes, got "
            f"{describe(logits)}; give a model with one output and a sigmoid a second "
            "class, ja.scores.two_columns(logits_fn), label 1 the one it had "
            f"({ANY_SCALAR}); {PAGE}"
        )
    if labels is not None:
        wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
        if wrong.size:
            raise ValueError(
                f"labels: expected classes 0 to {num_classes - 1}, got "
                f"{labels[wrong[0]]} for image {wrong[0]}"
            )
    return logits


ANY_SCALAR = "docs/any-scalar.md"


def _other_output(output: object, num_rows: int) -> str:
    """What makes logits of an output of another shape."""
    if isinstance(output, tuple | list | dict):
        return (
            "of a detector ja.scores.box(detector, box) makes logits; of other outputs "
            "pass a function that returns one of them, or one number an image with "
            f"ja.scores.two_columns ({ANY_SCALAR})"
        )
    shape: tuple[int, ...] = getattr(output, "shape", ())
    if shape == (num_rows,):
        return (
            "one number an image is explained by ja.scores.two_columns(logits_fn), "
            f"label 1 ({ANY_SCALAR})"
        )
    if len(shape) in (3, 4) and shape[0] == num_rows:
        return (
            "of values at places ja.scores.region(logits_fn, mask) makes logits, for a "
            f"region or a pixel ({ANY_SCALAR})"
        )
    return ""


def _describe_output(output: object) -> str:
    if isinstance(output, tuple | list):
        parts = ", ".join(describe(part) for part in output[:3])
        return f"a {type(output).__name__} of {len(output)}: {parts}"
    if isinstance(output, dict):
        return f"a dict with {', '.join(map(repr, list(output)[:5]))}"
    return describe(output)


def _bases(model: object) -> set[str]:
    """The packages of its classes, without importing one."""
    return {
        ".".join(base.__module__.split(".")[:2])
        for base in type(model).__mro__
        if base.__module__ != "builtins"
    }


def _refuse_modules(model: object, name: str) -> None:
    """Modules that are no function of images as they stand."""
    if not callable(model):
        # Of a model in two halves nothing else is called.
        if hasattr(model, "features") and hasattr(model, "head"):
            return
        raise fail(name, f"a function of images; {PAGE}", model)
    bases = _bases(model)
    if "flax.linen" in bases and getattr(model, "scope", None) is None:
        raise ValueError(
            f"{name}: expected a function of images, got a Linen module without its "
            "parameters; pass lambda images: module.apply(variables, images); " + PAGE
        )
    if "flax.nnx" in bases and _in_training(model):
        raise ValueError(
            f"{name}: expected a model in evaluation mode, got an NNX module in "
            f"training mode; call model.eval() first; {PAGE}"
        )


def _in_training(model: object) -> bool:
    """Whether an NNX module draws masks or takes the statistics of a batch."""
    # Whoever made the module has imported its package.
    modules = sys.modules["flax.nnx"].iter_modules(model)
    return any(
        getattr(module, "use_running_average", None) is False
        or (
            getattr(module, "deterministic", None) is False
            and getattr(module, "rate", 0) != 0
        )
        for _, module in modules
    )


def _hint(model: object) -> str:
    if any(base.startswith("equinox") for base in _bases(model)):
        return (
            "an Equinox module takes one image, channels first: pass lambda images: "
            "jax.vmap(module)(jnp.moveaxis(images, -1, 1)), the module in inference mode"
        )
    return ""


def _is_known(values: object) -> bool:
    """Not traced, and all of it at hand."""
    is_traced = isinstance(values, jax.core.Tracer)
    return not is_traced and getattr(values, "is_fully_addressable", True)
