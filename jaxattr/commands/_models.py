"""The models of a command line: ``--model`` and what is loaded for it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Unpack

import jax
import jax.numpy as jnp

from jaxattr.commands._model_requests import DTYPES, OPTIONS, LoadOptions, parse_model

if TYPE_CHECKING:
    from jaxattr.models import Classifier

DEFAULT_MODEL = "efficientnet_lite0"


def add_model(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """``--model``, once or several times, and ``--weights``."""
    add, options = parser.add_argument, ", ".join(OPTIONS)
    if several:
        add(
            "--model",
            action="append",
            metavar="NAME[=FILE][,OPTION=VALUE]",
            help="may be given several times, each with a checkpoint and options of "
            f"its own: {options} (default: {DEFAULT_MODEL})",
        )
    else:
        text = "with a checkpoint or without; `jaxattr models` lists them; options: "
        add(
            "--model",
            default=DEFAULT_MODEL,
            metavar="NAME[=FILE][,OPTION=VALUE]",
            help=f"{text}{options} (default: %(default)s)",
        )
    add("--weights", metavar="PATH", help="a checkpoint file, or the word random")
    add(
        "--preprocessing",
        choices=("crop", "squash"),
        help="of photographs (default: as the weights were trained)",
    )
    add(
        "--dtype",
        choices=DTYPES,
        help="what to compute in (default: that of the weights)",
    )


def load_model(
    asked: str,
    arguments: argparse.Namespace,
    **options: Unpack[LoadOptions],
) -> Classifier:
    """A model with the weights of its file, by default those of ``--weights``.

    Args:
      asked: a name as ``jaxattr models`` lists it, with file and options or without;
        see ``parse_model``. What is typed here goes before options of the command.
      arguments: of the command; random weights come from ``--seed``.
      **options: of ``jaxattr.models.load``.

    Raises:
      ValueError: as ``parse_model`` and ``jaxattr.models.load`` raise it.
    """
    from jaxattr import models

    request = parse_model(asked)
    weights = request.file or arguments.weights
    if arguments.preprocessing is not None:
        options["preprocessing"] = arguments.preprocessing
    if arguments.dtype is not None:
        options["dtype"] = jnp.dtype(arguments.dtype)
    if weights == "random":
        options["key"] = jax.random.key(arguments.seed)
    options.update(request.options())
    try:
        return models.load(request.name, weights, **options)
    except ValueError as error:
        # Here the argument has another name.
        raise ValueError(
            str(error).replace("name: unknown", "--model: unknown")
        ) from None


def load_models(
    arguments: argparse.Namespace, **options: Unpack[LoadOptions]
) -> dict[str, Classifier]:
    """Label to model, of each ``--model``."""
    models: dict[str, Classifier] = {}
    asked = {parse_model(text): text for text in arguments.model or [DEFAULT_MODEL]}
    for request, text in asked.items():
        # Files of one name in two folders are two models.
        label = request.label(whole_path=request.label() in models)
        models[label] = load_model(text, arguments, **options)
    return models
