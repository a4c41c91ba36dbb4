"""What the arguments of several commands have in common."""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number in a closed interval."""
    expected = f"a whole number of at least {minimum}"
    if maximum is not None:
        expected = f"a whole number from {minimum} to {maximum}"

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?\d+", text.strip()) else None
        if number is None or number < minimum or (maximum or number) < number:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return number

    return parse


def folder(text: str) -> str:
    """An argparse type: a folder, there or not, but no file."""
    if pathlib.Path(text).is_file():
        raise argparse.ArgumentTypeError(f"expected a folder, got the file {text!r}")
    return text


def add_run_options(
    parser: argparse.ArgumentParser, *, batch_size: int, out: str
) -> None:
    """``--seed``, ``--batch-size`` and ``--out``, with these defaults."""
    add = parser.add_argument
    add("--seed", type=whole(0, 2**32 - 1), default=0, metavar="INT", help="default: 0")
    add(
        "--batch-size",
        type=whole(1),
        default=batch_size,
        metavar="INT",
        help="most model rows in one call; lower it to save memory (default: "
        "%(default)s)",
    )
    add("--out", type=folder, default=out, metavar="DIR", help="default: %(default)s")


def add_model(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """``--model``, once or several times, and ``--weights``."""
    add = parser.add_argument
    if several:
        add(
            "--model",
            action="append",
            metavar="NAME[=FILE]",
            help="may be given several times, each with a checkpoint of its own "
            "(default: efficientnet_lite0)",
        )
    else:
        text = "default: %(default)s; `jaxattr models` lists them"
        add("--model", default="efficientnet_lite0", metavar="NAME", help=text)
    add("--weights", metavar="PATH", help="a checkpoint file, or the word random")


def load_model(name: str, arguments: argparse.Namespace, **options: Any) -> Any:
    """The model of ``--weights``; random ones come from ``--seed``."""
    from jaxattr import models

    weights = options.pop("weights", arguments.weights)
    if weights == "random":
        options["key"] = jax.random.key(arguments.seed)
    return models.load(name, weights, **options)


def load_models(arguments: argparse.Namespace, **options: Any) -> dict[str, Any]:
    """Label to model, of each ``--model NAME`` or ``--model NAME=FILE``."""
    models: dict[str, Any] = {}
    for asked in dict.fromkeys(arguments.model or ["efficientnet_lite0"]):
        name, _, file = asked.partition("=")
        label = f"{name} ({pathlib.Path(file).stem})" if file else name
        # Files of one name in two folders are two models.
        label = f"{name} ({file})" if label in models else label
        given = {"weights": file} if file else {}
        models[label] = load_model(name, arguments, **given, **options)
    return models
