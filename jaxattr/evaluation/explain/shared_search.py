"""One boundary search a photograph for all the methods that ask for the same."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax

from jaxattr import attributions, boundaries
from jaxattr.boundaries.nearest import BoundaryPoint
from jaxattr.boundaries.search import BoundarySearch, as_search
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.runs import programs
from jaxattr.typing import Array, LogitsFn

_EXPLAINERS = (attributions.bsm, attributions.big, attributions.bsg)


def explains_at_boundary(method: Method) -> bool:
    """Whether a method begins with a search for the nearest boundary."""
    return method.explain in _EXPLAINERS


def find_points(
    classifier: LogitsFn,
    images: Array,
    labels: Array,
    key: Array,
    methods: Mapping[str, tuple[Method, Mapping[str, Any]]],
    batch_size: int,
) -> dict[str, tuple[BoundaryPoint, float]]:
    """The points of the methods that explain at one, and the seconds of their searches.

    Methods that ask for the same search share it, with ``key`` as it is: alone, ``bsg``
    would search with a part of it and keep the other for its noise.

    Args:
      classifier: a model of ``jaxattr.models``.
      images: ``(N, H, W, C)``.
      labels: ``(N,)``.
      key: one typed key.
      methods: label to a method and the options that it is given.
      batch_size: the most model rows in one call.

    Returns:
      Label to point and seconds; nothing for other methods.
    """
    asked = {
        label: as_search(options.get("search"))
        for label, (method, options) in methods.items()
        if explains_at_boundary(method)
    }
    found = {
        search: programs.timed(
            _found,
            *(classifier, images, labels, key),
            search=search,
            batch_size=batch_size,
        )
        for search in dict.fromkeys(asked.values())
    }
    return {label: found[search] for label, search in asked.items()}


def without_search(options: Mapping[str, object]) -> dict[str, object]:
    """The options that matter still when the point is there."""
    return {name: value for name, value in options.items() if name != "search"}


@functools.partial(jax.jit, static_argnames=("search", "batch_size"))
def _found(
    classifier: LogitsFn,
    images: Array,
    labels: Array,
    key: Array,
    *,
    search: BoundarySearch,
    batch_size: int,
) -> BoundaryPoint:
    return boundaries.nearest_boundary(
        classifier, images, labels, key=key, search=search, batch_size=batch_size
    )
