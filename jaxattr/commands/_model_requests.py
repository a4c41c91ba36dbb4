"""``--model NAME=FILE,key=value``: a model, its checkpoint and how to load it."""

from __future__ import annotations

import pathlib
import re
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import jax.numpy as jnp

from jaxattr._checks import check_choice

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jaxattr.models.activations import Activation
    from jaxattr.typing import Array

DTYPES = ("float32", "bfloat16", "float16")
"""What a model computes in."""
OPTIONS = ("dtype", "num_classes", "padding", "preprocessing")
"""Of ``LoadOptions``, those that can be typed beside a model."""


class LoadOptions(TypedDict, total=False):
    """Of ``jaxattr.models.load``."""

    key: Array
    num_classes: int
    activation: Activation | None
    dtype: DTypeLike | None
    preprocessing: str | None
    padding: str | None


class ModelRequest(NamedTuple):
    """A model as it was asked for."""

    name: str
    file: str | None
    """A checkpoint."""
    typed: tuple[tuple[str, str], ...]
    """Options and their values, in the order of their names."""

    def options(self) -> LoadOptions:
        """What was typed, as ``jaxattr.models.load`` takes it.

        Raises:
          ValueError: a value that no model could have.
        """
        options: LoadOptions = {}
        for option, value in self.typed:
            if option == "num_classes":
                options["num_classes"] = _number_of_classes(self.name, value)
            elif option == "dtype":
                known = check_choice(f"--model {self.name}: dtype", value, DTYPES)
                options["dtype"] = jnp.dtype(known)
            elif option == "padding":
                options["padding"] = value
            else:
                options["preprocessing"] = value
        return options

    def label(self, *, whole_path: bool = False) -> str:
        """What tells it from other models in tables and figures."""
        file = pathlib.Path(self.file or "")
        of_file = [str(file) if whole_path else file.stem] if self.file else []
        details = of_file + [f"{option}={value}" for option, value in self.typed]
        return f"{self.name} ({', '.join(details)})" if details else self.name


def parse_model(text: str) -> ModelRequest:
    """Reads what ``--model`` takes; a comma splits only before ``word=``.

    Raises:
      ValueError: an option that is unknown, or given twice.

    >>> parse_model("resnet18=runs/a,b.npz,padding=tf_same")
    ModelRequest(name='resnet18', file='runs/a,b.npz', typed=(('padding', 'tf_same'),))
    """
    head, *tail = re.split(r",\s*(?=\w+=)", text)
    name, _, file = head.partition("=")
    typed: dict[str, str] = {}
    for part in tail:
        option, _, value = part.partition("=")
        check_choice(f"--model {name}: option", option, OPTIONS)
        if option in typed:
            raise ValueError(f"--model {name}: {option} is given twice")
        typed[option] = value
    return ModelRequest(name, file or None, tuple(sorted(typed.items())))


def _number_of_classes(name: str, text: str) -> int:
    if not re.fullmatch(r"0*[1-9]\d*", text):
        expected = "a whole number of at least 1"
        raise ValueError(
            f"--model {name}: num_classes: expected {expected}, got {text!r}"
        )
    return int(text)
