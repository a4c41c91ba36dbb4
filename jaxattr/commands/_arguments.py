"""What the arguments of several commands have in common."""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Unpack

import jax

if TYPE_CHECKING:
    from jaxattr.models import Classifier
    from jaxattr.models.activations import Activation
    from jaxattr.typing import Array

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
    """Where a command adds its parser."""

QUICK_SEARCH = ("deepfool", "ddn", "fab")
"""Members of a boundary search that come near the whole ensemble, which is the default
of the library, at a quarter of its passes: what the commands search with."""


class LoadOptions(TypedDict, total=False):
    """Of ``jaxattr.models.load``."""

    key: Array
    activation: Activation | None
    preprocessing: str | None
    padding: str | None


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


def load_model(
    name: str,
    arguments: argparse.Namespace,
    *,
    file: str | None = None,
    **options: Unpack[LoadOptions],
) -> Classifier:
    """A model with the weights of a file, by default those of ``--weights``.

    Args:
      name: as ``jaxattr models`` lists it.
      arguments: of the command; random weights come from ``--seed``.
      file: a checkpoint.
      **options: of ``jaxattr.models.load``.
    """
    from jaxattr import models

    weights = file or arguments.weights
    if weights == "random":
        options["key"] = jax.random.key(arguments.seed)
    return models.load(name, weights, **options)


def load_models(
    arguments: argparse.Namespace, **options: Unpack[LoadOptions]
) -> dict[str, Classifier]:
    """Label to model, of each ``--model NAME`` or ``--model NAME=FILE``."""
    models: dict[str, Classifier] = {}
    for asked in dict.fromkeys(arguments.model or ["efficientnet_lite0"]):
        name, _, file = asked.partition("=")
        label = f"{name} ({pathlib.Path(file).stem})" if file else name
        # Files of one name in two folders are two models.
        label = f"{name} ({file})" if label in models else label
        models[label] = load_model(name, arguments, file=file or None, **options)
    return models
