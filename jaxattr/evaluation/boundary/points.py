"""One boundary search a photograph for all the methods that ask for the same."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import jax

from jaxattr import attributions, boundaries
from jaxattr.boundaries.nearest import BoundaryPoint
from jaxattr.evaluation.methods.options import defaults
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.runs import programs
from jaxattr.typing import Array

_EXPLAINERS = (attributions.bsm, attributions.big, attributions.bsg)
_OPTIONS = tuple(
    name
    for name, parameter in inspect.signature(
        boundaries.nearest_boundary
    ).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name not in ("key", "batch_size")
)


def explains_at_boundary(method: Method) -> bool:
    """Whether a method begins with a search for the nearest boundary."""
    return method.explain in _EXPLAINERS


def find_points(
    classifier: Any,
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
        label: _search_of(method, options)
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


def without_search(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that matter still when the point is there."""
    return {name: value for name, value in options.items() if name not in _OPTIONS}


def _search_of(method: Method, options: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a method asks of the search, hashable."""
    given = defaults(method) | dict(options)
    as_hashable = lambda value: tuple(value) if isinstance(value, list) else value
    return tuple((name, as_hashable(given[name])) for name in _OPTIONS)


@functools.partial(jax.jit, static_argnames=("search", "batch_size"))
def _found(
    classifier: Any,
    images: Array,
    labels: Array,
    key: Array,
    *,
    search: tuple[tuple[str, Any], ...],
    batch_size: int,
) -> BoundaryPoint:
    return boundaries.nearest_boundary(
        classifier, images, labels, key=key, batch_size=batch_size, **dict(search)
    )
