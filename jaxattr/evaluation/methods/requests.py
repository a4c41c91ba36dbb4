"""Methods as callers ask for them: names, options, functions of their own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import jax.numpy as jnp

from jaxattr._checks import fail
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import defaults
from jaxattr.evaluation.methods.registry import Explainer, Method
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.digests import identify
from jaxattr.evaluation.runs.models import Model, References, as_seen
from jaxattr.photographs.reading import list_photographs, read_photograph
from jaxattr.typing import Array, LogitsFn

Options = Mapping[str, object]

MethodName = str | Method | Explainer

Methods = (
    MethodName
    | Iterable[MethodName]
    | Mapping[str, Options | MethodName | tuple[MethodName, Options]]
)
"""What a caller may ask for; see ``as_methods``."""

Requests = dict[str, tuple[Method, dict[str, object]]]
"""Methods and their options under the labels that tables give them."""


def as_methods(asked: Methods) -> Requests:
    """Methods and their options under the labels that tables give them.

    Args:
      asked: names of methods, or explainers, in any sequence; or a mapping from labels
        to options (the label being a name), to a name or an explainer, or to a pair of
        either and options.

    Raises:
      ValueError: an unknown name, what is no explainer, or a label given twice.

    Example:
      >>> found = as_methods({"saliency": {}, "weak": ("fampe", {"alpha": 0.1})})
      >>> [(label, method.name, options) for label, (method, options) in found.items()]
      [('saliency', 'saliency', {}), ('weak', 'fampe', {'alpha': 0.1})]
    """
    if isinstance(asked, str | Method) or callable(asked):
        asked = [asked]
    if isinstance(asked, Mapping):
        return {str(label): _one(label, given) for label, given in asked.items()}
    found: Requests = {}
    for given in asked:
        method, options = _one(given, {} if isinstance(given, str) else given)
        if method.name in found:
            raise ValueError(f"methods: {method.name} is asked for twice")
        found[method.name] = method, options
    if not found:
        raise fail("methods", "at least one", asked)
    return found


def prepare(
    methods: Mapping[str, tuple[Method, Options]],
    shape: tuple[int, ...],
    classes: int,
    references: Callable[[], Array | None],
    *,
    split: bool = True,
    check: bool = True,
) -> Requests:
    """Methods with all options that they are given, seen to be good ones.

    Args:
      methods: of ``as_methods``.
      shape: of the images, ``(N, H, W, C)``.
      classes: K.
      references: gives ``(R, H, W, C)``, or None where there are none; asked only if a
        method needs them.
      split: whether the model has two halves, ``features`` and ``head``.
      check: whether the options are looked at; see ``check_requests``.

    Raises:
      ValueError: an option that the method refuses, or references that are missing.
    """
    prepared: Requests = {}
    references = functools.cache(references)
    for label, (method, given) in methods.items():
        options = dict(given)
        if method.needs_references and "references" not in options:
            images = references()
            if images is None:
                raise ValueError(
                    f"{label}: needs references, a folder of photographs "
                    "that stand for the data"
                )
            options["references"] = images
        prepared[label] = method, options
    if check:
        check_requests(prepared, shape, classes, split=split)
    return prepared


def check_requests(
    methods: Requests, shape: tuple[int, ...], classes: int, *, split: bool = True
) -> None:
    """Traces each method on a toy with its options; see ``prepare``.

    Raises:
      ValueError: an option that a method refuses.
    """
    for label, (method, options) in methods.items():
        method_here = method._replace(name=label)
        programs.check_options(method_here, options, shape, classes, split=split)


def read_references(folder: str | os.PathLike[str], model: Model) -> Array:
    """All photographs of a folder as the model sees them, ``(R, H, W, 3)``."""
    files = list_photographs(folder)
    return jnp.stack([jnp.asarray(as_seen(model, read_photograph(f))) for f in files])


def as_references(references: References, model: LogitsFn) -> Array | None:
    """Images that stand for the data, as they are or read for the model."""
    if references is None:
        return None
    if isinstance(references, str | os.PathLike):
        return read_references(references, cast(Model, model))
    return jnp.asarray(references)


def method_record(method: Method, options: Options) -> dict[str, object]:
    """What a method is and all of its options, as JSON takes them."""
    return {
        "explainer": identify(method.explain),
        "options": identify(defaults(method) | dict(options)),
    }


def _one(label: object, given: object) -> tuple[Method, dict[str, object]]:
    asked, options = given, cast(Options, {})
    if isinstance(given, Mapping):
        asked, options = label, given
    elif isinstance(given, tuple) and not isinstance(given, Method) and len(given) == 2:
        asked, options = given
    if isinstance(asked, str):
        return registry.method(asked), dict(options)
    if isinstance(asked, Method):
        return asked, dict(options)
    if callable(asked):
        name = getattr(asked, "__name__", None) or str(label)
        return Method(name, asked), dict(options)
    raise fail(f"methods[{label!r}]", "a name, options or an explainer", given)
