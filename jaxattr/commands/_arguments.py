"""What the arguments of several commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number in a closed interval."""
    expected = f"a whole number of at least {minimum}"
    if maximum is not None:
        expected = f"a whole number from {minimum} to {maximum}"

    def parse(text: str) -> int:
        number = int(text) if text.lstrip("-").isdecimal() else None
        if number is None or number < minimum or (maximum or number) < number:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return number

    return parse


def load_model(name: str, arguments: argparse.Namespace, **options: Any) -> Any:
    """The model of ``--weights``; random ones come from ``--seed``."""
    from jaxattr import models

    if arguments.weights == "random":
        options["key"] = jax.random.key(arguments.seed)
    return models.load(name, arguments.weights, **options)
