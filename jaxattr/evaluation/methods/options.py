"""Options of methods as text: ``attexplore.num_steps=5``, ``big.search.norm=linf``."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxattr import scores
from jaxattr._checks import check_choice
from jaxattr.boundaries import BoundarySearch
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.registry import Method

_GIVEN_OTHERWISE = ("key", "batch_size", "references", "return_standard_error")


def defaults(method: Method) -> dict[str, object]:
    """The options of a method and their default values."""
    return {name: p.default for name, p in _parameters(method.explain).items()}


def parse_options(
    texts: Iterable[str], methods: Mapping[str, Method]
) -> dict[str, dict[str, object]]:
    """Texts ``METHOD.NAME=VALUE`` to the options of each method.

    A value is read as what the default is: a whole number, a number (``16/255`` will
    do), ``true`` or ``false``, a word, a tuple of numbers, or the name of a score. Where
    the default is a word and the method takes other things too (``fampe.cutoff``), what
    reads as a number is one. ``METHOD.search.NAME=VALUE`` is an option of the
    ``BoundarySearch`` that a method begins with, ``METHOD.search=`` names its members,
    or is ``released``.

    Args:
      texts: what was written on the command line; of two for one name the last holds.
      methods: the methods that are asked for, by name.

    Returns:
      For each method the options given, ``{}`` where none was.

    Raises:
      ValueError: not of this form, a method that is not asked for, an option it does
        not have (the message lists those it has), a value of another kind.

    Example:
      >>> from jaxattr.evaluation.methods import registry
      >>> methods = {"smoothgrad": registry.method("smoothgrad")}
      >>> parse_options(["smoothgrad.num_samples=8", "smoothgrad.stddev=1/4"], methods)
      {'smoothgrad': {'num_samples': 8, 'stddev': 0.25}}
      >>> methods = {"big": registry.method("big")}
      >>> texts = ["big.search=ddn,fab", "big.search.norm=linf"]
      >>> parse_options(texts, methods)["big"]["search"].norm
      'linf'
    """
    parsed: dict[str, dict[str, object]] = {name: {} for name in methods}
    inner: dict[str, dict[str, str]] = {name: {} for name in methods}
    for text in texts:
        target, equals, value = text.partition("=")
        method, dot, name = target.strip().partition(".")
        if not equals or not dot:
            raise ValueError(f"option: expected METHOD.NAME=VALUE, got {text!r}")
        if method in registry.methods() and method not in methods:
            raise ValueError(
                f"option {target}: {method} is not asked for; asked for: "
                f"{', '.join(methods)}"
            )
        check_choice(f"option {target}: method", method, methods)
        known = _parameters(methods[method].explain)
        outer, dot, inner_name = name.partition(".")
        if dot and outer == "search" and outer in known:
            inner[method][inner_name.strip()] = value.strip()
            continue
        check_choice(f"option of {method}", name, known)
        parsed[method][name] = _parse(target, value.strip(), known[name])
    for method, given in inner.items():
        if given:
            search = _search(method, parsed[method].get("search"), given)
            parsed[method]["search"] = search
    return parsed


def search_defaults() -> dict[str, object]:
    """The options of a ``BoundarySearch`` but for its members, and their defaults."""
    return {name: p.default for name, p in _parameters(BoundarySearch).items()}


def _search(method: str, members: Any, given: Mapping[str, str]) -> BoundarySearch:
    """The search of these members with options as text."""
    released = members == "released"
    known = _parameters(BoundarySearch.released if released else BoundarySearch)
    options = {}
    for name, text in given.items():
        check_choice(f"option of {method}.search", name, known)
        options[name] = _parse(f"{method}.search.{name}", text, known[name])
    try:
        if released:
            return BoundarySearch.released(**options)
        return BoundarySearch(members, **options)
    except ValueError as error:
        # What is wrong with the members begins with "search" already.
        prefix = method if str(error).startswith("search") else f"{method}.search"
        raise ValueError(f"{prefix}.{error}") from None


def to_json(options: Mapping[str, object]) -> str:
    """Options as JSON text: of a function (a score) its name, of a search its fields.

    >>> to_json({"score": scores.logit, "bounds": (0.0, 1.0)})
    '{"score": "logit", "bounds": [0.0, 1.0]}'
    """

    def plain(value: object) -> object:
        if isinstance(value, BoundarySearch):
            names = [member.name for member in value.members]
            options = {name: getattr(value, name) for name in search_defaults()}
            return {"members": names, **options, "units": value.units or "pixels"}
        return getattr(value, "__name__", repr(value))

    return json.dumps(dict(options), default=plain)


def _parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """The options of an explainer, or of a search, as its signature has them."""
    parameters = inspect.signature(function).parameters.values()
    return {
        p.name: p
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
        and p.name not in _GIVEN_OTHERWISE
        and not p.name.startswith("_")
    }


def _parse(target: str, text: str, parameter: inspect.Parameter) -> Any:
    default = parameter.default
    if callable(default):
        return getattr(scores, check_choice(target, text, scores_by_name()))
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{target}: expected true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(default, str):
        # A name, or a number in its place.
        if str(parameter.annotation) != "str":
            with contextlib.suppress(ValueError):
                return _number(target, text, float, "a number")
        return text
    if isinstance(default, int):
        return _number(target, text, int, "a whole number")
    if isinstance(default, float):
        return _number(target, text, float, "a number")
    if isinstance(default, tuple):
        parts = text.strip("()[] ").split(",")
        whole = all(isinstance(part, int) for part in default)
        kind, words = (int, "whole numbers") if whole else (float, "a number")
        return tuple(_number(target, p.strip(), kind, words) for p in parts if p)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def scores_by_name() -> list[str]:
    """The names of the score factories of ``jaxattr.scores``."""
    wanted = ["logits_fn", "labels"]
    return [
        name
        for name, value in vars(scores).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and list(inspect.signature(value).parameters) == wanted
    ]


def _number(target: str, text: str, kind: type[int] | type[float], words: str) -> float:
    over, slash, under = text.partition("/")
    try:
        if slash and kind is float:
            return float(over) / float(under)
        return kind(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{target}: expected {words}, got {text!r}") from None
