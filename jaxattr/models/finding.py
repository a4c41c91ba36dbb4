"""Where the weights of a model are when no file is named: package, cache, hub.

``locate`` is what ``load`` asks, ``fetch`` what users call to download ahead of time;
``checkpoints.hub`` does the downloading.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from jaxattr._checks import check_choice
from jaxattr.checkpoints import hub
from jaxattr.checkpoints.locations import Hub, Package
from jaxattr.models.catalog import MODELS
from jaxattr.models.entries import Source

PASS_A_FILE = "pass its path (on the command line --weights PATH)"


class Description(NamedTuple):
    """What the catalog says of one set of weights."""

    source: str
    """The library that trained it, or in whose names its tensors are."""
    where: str
    """The package or repository that it comes from, or how it is loaded from a file."""
    top_1: float | None
    """Percent of ImageNet's validation set, as its authors say."""
    megabytes: float | None
    """Of the file, where that is known."""


def descriptions(name: str) -> tuple[Description, ...]:
    """Where the weights of a model come from, and how good they are; the default first.

    Raises:
      ValueError: for a model that :func:`names` does not list.
    """
    model = MODELS[check_choice("name", name, MODELS)]
    default = next(iter(model.sources.values()))
    return tuple(
        Description(
            source,
            _where(entry, default),
            (entry.location or entry).top_1,
            (entry.location or entry).megabytes,
        )
        for source, entry in model.sources.items()
    )


def installed(name: str) -> bool:
    """Whether a package with weights of the model is installed.

    Args:
      name: one of :func:`names`.

    Returns:
      Whether ``load(name)`` finds its weights without looking any further.

    Raises:
      ValueError: for a model that :func:`names` does not list.

    Example:
      >>> from jaxattr import models
      >>> models.installed("vgg16")
      False
    """
    sources = MODELS[check_choice("name", name, MODELS)].sources.values()
    packages = (s.location for s in sources if isinstance(s.location, Package))
    return any(package.find() is not None for package in packages)


def _where(source: Source, default: Source) -> str:
    if source.location is not None:
        return source.location.where
    if source.padding == default.padding:
        return "a file"
    return f"a file, padding={source.padding!r}"


def fetch(name: str, *, revision: str | None = None) -> pathlib.Path:
    """Downloads the weights of a model from the hub, unless they are there.

    Args:
      name: one of :func:`names`.
      revision: a branch, tag or commit of the repository; None takes the newest.

    Returns:
      The path of the file, which :func:`load` takes.

    Raises:
      ValueError: for a model whose weights are not on the hub, without
        ``huggingface_hub``, network, repository, revision or space, or for a file whose
        checksum is wrong.
    """
    model = MODELS[check_choice("name", name, MODELS)]
    for source in model.sources.values():
        if isinstance(source.location, Hub):
            return hub.fetch(source.location, name, revision=revision)
    default, entry = next(iter(model.sources.items()))
    advice = f"get a file of {default}'s weights and {PASS_A_FILE}"
    if entry.location is not None:
        advice = f"they are in the {entry.location.where}"
    raise ValueError(f"name: {name} has no weights on the hub; {advice}")


def locate(name: str, sources: Mapping[str, Source]) -> pathlib.Path:
    """The file of the first source that has one here or can be downloaded.

    Raises:
      ValueError: if none does; the message says what to do.
    """
    locations = [s.location for s in sources.values() if s.location is not None]
    reasons = []
    for location in locations:
        if isinstance(location, Package):
            path = location.find()
            if path is not None:
                return path
            reasons.append(location.missing())
    for location in locations:
        if isinstance(location, Hub):
            try:
                return hub.cached(location) or hub.fetch(location, name)
            except ValueError as error:
                if not reasons:
                    raise
                # Whoever cannot reach the hub may be able to install the package.
                raise ValueError(f"{error}; {'; '.join(reasons)}") from error
    otherwise = "or get" if reasons else "get"
    if not reasons:
        reasons.append(f"{name} has no published weights that can be downloaded")
    raise ValueError(
        f"weights: {'; '.join(reasons)}; {otherwise} a checkpoint and {PASS_A_FILE}, or"
        ' weights="random" and a key'
    )
