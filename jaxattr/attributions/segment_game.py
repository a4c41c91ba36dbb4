"""Segments of images as players of a game for the score: model passes and results."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_key, check_task
from jaxattr._loops import by_image_batches, stack_over
from jaxattr.attributions import replacement
from jaxattr.segments import Segments, at_pixels, check_segments, counted, spread
from jaxattr.typing import Array, Bounds, LogitsFn, Score


class Game(NamedTuple):
    """The games of some images: what a coalition of segments is worth."""

    keys: Array
    """``(n,)``."""
    players: Array
    """``(n,)``: how many segments each image has."""
    places: int
    """M, the most."""
    dtype: jnp.dtype
    """Of the images."""
    values: Callable[[Callable[[Array], Array], int], Array]
    """Indices to coalitions ``(S, n, M)``, and their number, to values ``(number, n)``."""


class Task(NamedTuple):
    """A task of which all is checked."""

    places: int
    """M, the most segments of an image."""
    solve: Callable[[Callable[[Game], tuple[Array, ...]], bool], tuple[Array, ...]]
    """What makes of games arrays ``(n, M, ...)`` to such of all images; as maps
    ``(N, H, W, C)`` if asked."""


def check_game(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None,
    batch_size: int | None,
    segments: Segments,
    num_segments: int | None,
    substrate: Array | float,
    score: Score | str,
    bounds: Bounds,
) -> Task:
    """Checks the arguments that all methods of segments share."""
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    substrate = replacement.check_substrate(substrate, images, bounds)
    score = scores.as_score(score)
    keys = check_key(key, labels)
    ids, places = check_segments(segments, images, num_segments)

    def solve(
        solver: Callable[[Game], tuple[Array, ...]], as_maps: bool
    ) -> tuple[Array, ...]:
        def compute(
            together: int,
            images: Array,
            labels: Array,
            substrate: Array,
            ids: Array,
            keys: Array,
        ) -> tuple[Array, ...]:
            score_fn = scores.stacked_rows(score, logits_fn, labels)
            players, is_whole = counted(ids, places)

            def values(members: Callable[[Array], Array], number: int) -> Array:
                def some(index: Array) -> Array:
                    keep = at_pixels(members(index), ids)
                    return score_fn(replacement.selected(images, substrate, keep))

                return stack_over(some, number, together)

            found = solver(Game(keys, players, places, images.dtype, values))
            # Traced segments with gaps are found out here.
            found = tuple(
                jnp.where(is_whole.reshape(-1, *[1] * (x.ndim - 1)), x, jnp.nan)
                for x in found
            )
            if not as_maps:
                return found
            channels = images.shape[-1]
            return tuple(spread(x, ids, channels).astype(images.dtype) for x in found)

        return by_image_batches(
            compute, batch_size, images, labels, substrate, ids, keys
        )

    return Task(places, solve)
