"""The models of a command line: ``--model`` and what is loaded for it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Unpack

import jax
import jax.numpy as jnp

from jaxattr.commands._model_requests import DTYPES, OPTIONS, LoadOptions, parse_model

if TYPE_CHECKING:
    from jaxattr.commands._model_requests import ModelRequest
    from jaxattr.models import Classifier, ExportedModel

DEFAULT_MODEL = "efficientnet_lite0"
SUFFIX = ".jaxexport"
"""Of a program that ``jaxattr.models.export`` wrote."""


def add_model(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """``--model``, once or several times, and ``--weights``."""
    add, options = parser.add_argument, ", ".join(OPTIONS)
    if several:
        add(
            "--model",
            action="append",
            metavar="NAME[=FILE][,OPTION=VALUE]",
            help="may be given several times, each with a checkpoint and options of "
            f"its own: {options}; or FILE{SUFFIX}, a program that "
            f"jaxattr.models.export wrote (default: {DEFAULT_MODEL})",
        )
    else:
        text = (
            f"with a checkpoint or without, or FILE{SUFFIX}, a program that "
            "jaxattr.models.export wrote; `jaxattr models` lists them; options: "
        )
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
) -> Classifier | ExportedModel:
    """A model with the weights of its file, by default those of ``--weights``.

    Args:
      asked: a name as ``jaxattr models`` lists it, with file and options or without, or
        the path of a program of ``jax.export`` that ends in ``SUFFIX``; see
        ``parse_model``. What is typed here goes before options of the command.
      arguments: of the command; random weights come from ``--seed``.
      **options: of ``jaxattr.models.load``.

    Raises:
      ValueError: as ``parse_model`` and ``jaxattr.models.load`` raise it.
    """
    from jaxattr import models

    request = parse_model(asked)
    if is_exported(request.name):
        return load_exported(request, arguments)
    weights = request.file or arguments.weights
    if arguments.preprocessing is not None:
        options["preprocessing"] = arguments.preprocessing
    if arguments.dtype is not None:
        options["dtype"] = jnp.dtype(arguments.dtype)
    if weights == "random":
        options["key"] = jax.random.key(arguments.seed)
    options.update(request.options())
    try:
        model = models.load(request.name, weights, **options)
        for note in getattr(model, "notes", ()):
            print(f"jaxattr: {weights}: {note}", file=sys.stderr)
        return model
    except ValueError as error:
        # Here the argument has another name.
        raise ValueError(
            str(error).replace("name: unknown", "--model: unknown")
        ) from None


def is_exported(name: str) -> bool:
    """Whether ``--model`` names a program of ``jax.export``, not a network."""
    return name.endswith(SUFFIX)


def load_exported(
    request: ModelRequest, arguments: argparse.Namespace
) -> ExportedModel:
    """A program of ``jax.export`` by its path, prepared for as it was asked.

    Raises:
      ValueError: for options that it cannot have, and as ``models.from_exported`` does.
    """
    from jaxattr import models

    options = dict(request.typed)
    how = options.pop("preprocessing", arguments.preprocessing) or "crop"
    given = [f"--{name}" for name in ("weights", "dtype") if getattr(arguments, name)]
    given += list(options) + (["a file"] if request.file else [])
    if given:
        raise ValueError(
            f"--model {request.name}: a program has its weights and dtype inside and "
            f"takes preprocessing only, got {', '.join(given)}"
        )
    try:
        return models.from_exported(request.name, preprocessing=how)
    except ValueError as error:
        # Here the argument has another name.
        raise ValueError(str(error).replace("path: ", "--model ", 1)) from None


def load_models(
    arguments: argparse.Namespace, **options: Unpack[LoadOptions]
) -> dict[str, Classifier | ExportedModel]:
    """Label to model, of each ``--model``."""
    models: dict[str, Classifier | ExportedModel] = {}
    asked = {parse_model(text): text for text in arguments.model or [DEFAULT_MODEL]}
    for request, text in asked.items():
        # Files of one name in two folders are two models.
        label = request.label(whole_path=request.label() in models)
        models[label] = load_model(text, arguments, **options)
    return models
