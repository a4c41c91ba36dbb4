"""What a method is given: a model, images, labels. Looked at once, where values are known.

Nothing here costs a model pass. The logits are looked at when the model is first traced
or called; values only where they are not traced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._checks import check_images, check_inputs, describe, fail
from jaxattr.typing import Array, LogitsFn

PAGE = "docs/models.md shows how to adapt a model"


def check_task(
    logits_fn: Any,
    images: Any,
    labels: Any,
    *,
    bounds: tuple[Any, Any] | None = None,
    finite: bool = True,
) -> tuple[LogitsFn, Array, Array]:
    """A model that checks its logits, images ``(N, H, W, C)`` and labels ``(N,)``.

    Args:
      logits_fn: images to logits ``(N, K)``.
      images: at least float32 when they come back.
      labels: integers; classes of the model, where they are not traced.
      bounds: of the pixels, for methods that keep to them; see ``check_values``.
      finite: refuse NaN, where there is no field that would tell of it.
    """
    given_images, given_labels = images, labels
    images, labels = check_inputs(images, labels)
    # As they were given: while tracing, what is made of known values is traced.
    check_values(given_images, bounds=bounds, finite=finite)
    return checked_model(logits_fn, given_labels), images, labels


def check_bounded_images(images: Any, bounds: tuple[Any, Any]) -> Array:
    """Images that are not far outside the bounds, as they came."""
    images = check_images(images)
    check_values(images, bounds=bounds, finite=False)
    return images


def check_values(
    images: Any, *, bounds: tuple[Any, Any] | None = None, finite: bool = True
) -> None:
    """Refuses images of another range, such as 0 to 255, and NaN.

    Far is more than the width of the bounds outside them: rounding, noise and an odd
    overshoot are none of our business.
    """
    bounds = None if bounds is None or not _are_numbers(bounds) else bounds
    if (bounds is None and not finite) or not _is_known(images):
        return
    with jax.ensure_compile_time_eval():
        low, high = np.asarray(jax.device_get(_extremes(images)), float)
    if finite and not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("images: expected finite values, got NaN or infinity")
    if bounds is None:
        return
    width = bounds[1] - bounds[0]
    if low < bounds[0] - width or high > bounds[1] + width:
        raise ValueError(
            f"images: expected values within the bounds {bounds[0]:g} to "
            f"{bounds[1]:g}, got {low:g} to {high:g}; divide 8-bit images by 255, and "
            "normalise inside logits_fn"
        )


def checked_model(
    model: Any, labels: Array | None, name: str = "logits_fn"
) -> LogitsFn:
    """The model, whose logits are checked, and labels against their number."""
    if isinstance(model, _CheckedModel):
        model, name = model.model, model.name
    _refuse_modules(model, name)
    known = labels is not None and _is_known(labels)
    values = np.asarray(jax.device_get(labels)) if known else None
    return _CheckedModel(model, name, values)


def checked_head(head: Any, labels: Array) -> Callable[[Array], Array]:
    """The second half of a model, features to logits, checked alike."""
    return checked_model(head, labels, "logits_fn.head")


class _CheckedModel:
    """Stands in for a model: its attributes are the model's."""

    def __init__(self, model: Any, name: str, labels: np.ndarray | None) -> None:
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
    model: Any, name: str, logits: Any, images: Array, labels: np.ndarray | None
) -> Array:
    num_rows = images.shape[0]
    is_array = hasattr(logits, "shape") and hasattr(logits, "dtype")
    if not (
        is_array
        and len(logits.shape) == 2
        and logits.shape[0] == num_rows
        and jnp.issubdtype(logits.dtype, jnp.floating)
    ):
        hint = _hint(model)
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
            f"class, ja.scores.two_columns(logits_fn), label 1 the one it had; {PAGE}"
        )
    if labels is not None:
        wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
        if wrong.size:
            raise ValueError(
                f"labels: expected classes 0 to {num_classes - 1}, got "
                f"{labels[wrong[0]]} for image {wrong[0]}"
            )
    return logits


def _describe_output(output: Any) -> str:
    if isinstance(output, tuple | list):
        parts = ", ".join(describe(part) for part in output[:3])
        return f"a {type(output).__name__} of {len(output)}: {parts}"
    if isinstance(output, dict):
        return f"a dict with {', '.join(map(repr, list(output)[:5]))}"
    return describe(output)


def _is_known(values: Any) -> bool:
    """Not traced, and all of it at hand."""
    is_traced = isinstance(values, jax.core.Tracer)
    return not is_traced and getattr(values, "is_fully_addressable", True)


def _are_numbers(bounds: tuple[Any, Any]) -> bool:
    return all(isinstance(b, int | float) for b in bounds)


@jax.jit
def _extremes(images: Array) -> Array:
    return jnp.stack([jnp.min(images), jnp.max(images)])


def _bases(model: Any) -> set[str]:
    """The packages of its classes, without importing one."""
    return {
        ".".join(base.__module__.split(".")[:2])
        for base in type(model).__mro__
        if base.__module__ != "builtins"
    }


def _refuse_modules(model: Any, name: str) -> None:
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


def _in_training(model: Any) -> bool:
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


def _hint(model: Any) -> str:
    if any(base.startswith("equinox") for base in _bases(model)):
        return (
            "an Equinox module takes one image, channels first: pass lambda images: "
            "jax.vmap(module)(jnp.moveaxis(images, -1, 1)), the module in inference mode"
        )
    return ""
