"""Options of methods as text: ``attexplore.num_steps=5``."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any

from jaxattr import scores
from jaxattr._checks import check_choice
from jaxattr.evaluation.methods.registry import Method

_GIVEN_OTHERWISE = ("key", "batch_size", "references")


def defaults(method: Method) -> dict[str, Any]:
    """The options of a method and their default values."""
    return {name: p.default for name, p in _parameters(method).items()}


def parse_options(
    texts: Iterable[str], methods: Mapping[str, Method]
) -> dict[str, dict[str, Any]]:
    """Texts ``METHOD.NAME=VALUE`` to the options of each method.

    A value is read as what the default is: a whole number, a number (``16/255`` will
    do), ``true`` or ``false``, a word, a tuple of numbers, or the name of a score. Where
    the default is a word and the method takes other things too (``fampe.cutoff``), what
    reads as a number is one.

    Args:
      texts: what was written on the command line; of two for one name the later holds.
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
    """
    parsed: dict[str, dict[str, Any]] = {name: {} for name in methods}
    for text in texts:
        target, equals, value = text.partition("=")
        method, dot, name = target.strip().partition(".")
        if not equals or not dot:
            raise ValueError(f"option: expected METHOD.NAME=VALUE, got {text!r}")
        check_choice(f"option {target}: method", method, methods)
        known = _parameters(methods[method])
        check_choice(f"option of {method}", name, known)
        parsed[method][name] = _parse(target, value.strip(), known[name])
    return parsed


def to_json(options: Mapping[str, Any]) -> str:
    """Options as JSON text; a function (a score) is written as its name.

    >>> to_json({"score": scores.logit, "bounds": (0.0, 1.0)})
    '{"score": "logit", "bounds": [0.0, 1.0]}'
    """
    return json.dumps(dict(options), default=lambda v: getattr(v, "__name__", repr(v)))


def _parameters(method: Method) -> dict[str, inspect.Parameter]:
    """The options of a method as its signature has them."""
    parameters = inspect.signature(method.explain).parameters.values()
    return {
        p.name: p
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in _GIVEN_OTHERWISE
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
        if "str" not in str(parameter.annotation):
            with contextlib.suppress(ValueError):
                return _number(target, text, float, "a number")
        return text
    if isinstance(default, int):
        return _number(target, text, int, "a whole number")
    if isinstance(default, float):
        return _number(target, text, float, "a number")
    if isinstance(default, tuple):
        parts = text.strip("()[] ").split(",")
        return tuple(_number(target, p.strip(), float, "a number") for p in parts if p)
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


def _number(target: str, text: str, kind: type, words: str) -> Any:
    over, slash, under = text.partition("/")
    try:
        if slash and kind is float:
            return float(over) / float(under)
        return kind(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{target}: expected {words}, got {text!r}") from None
