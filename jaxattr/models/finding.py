"""Where the weights of a model are when nobody says: package, cache, hub."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from jaxattr._checks import check_choice
from jaxattr.models import hub
from jaxattr.models.catalog import MODELS
from jaxattr.models.model import Hub, Package, Source


class Description(NamedTuple):
    """What the catalog says of a model's default weights."""

    where: str
    """The package or repository that they come from."""
    top_1: float
    """Percent of ImageNet's validation set, as their authors say."""
    megabytes: float | None
    """Of the file, where it can be had without a path."""


def description(name: str) -> Description:
    """Where the weights of a model come from, and how good they are.

    Raises:
      ValueError: for a model that :func:`names` does not list.
    """
    model = MODELS[check_choice("name", name, MODELS)]
    source = next(iter(model.sources.values()))
    location = source.location
    if location is None:
        return Description("a file, in torchvision's names", source.top_1, None)
    return Description(location.where, location.top_1, location.megabytes)


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
    raise ValueError(
        f"name: {name} has no weights on the hub, {description(name).where}"
    )


def find(name: str, sources: Mapping[str, Source]) -> pathlib.Path:
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
            return hub.cached(location) or hub.fetch(location, name)
    if not reasons:
        reasons.append(f"{name} has no published weights that can be downloaded")
    raise ValueError(
        f"weights: {'; '.join(reasons)}, or pass the path of a checkpoint, or"
        ' weights="random" and a key'
    )
