"""Curves of a score while the entries of an image change in the order of a map."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import (
    check_attributions_of,
    check_choice,
    check_images,
    check_integer,
    check_labels,
)
from jaxattr._logits import checked_model
from jaxattr._loops import by_image_batches, stack_over
from jaxattr._numerics import rankings
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array, LogitsFn

ORDERS = ("channel_sum", "channel_union", "joint")
"""How the entries of a map are ranked: see ``insertion_curve``."""


def ranked_curve(
    points: Callable[..., Array],
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array | None,
    *,
    num_steps: int,
    order: str,
    batch_size: int | None,
    per_image: tuple[Array, ...],
) -> Array:
    """Probability of the label while the entries of an image change in a map's order.

    Args:
      points: images, which of their entries are due, bool ``(S, N, H, W, C)`` (or 1), the
        steps ``(S,)`` and ``per_image`` to images ``(S, N, H, W, C)``.
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: as ``insertion_curve`` has them.
      labels: integers ``(N,)``, or None for the predicted ones.
      num_steps: T, at least 2.
      order: one of ``ORDERS``.
      batch_size: the most model rows in one call.
      per_image: arrays ``(N, ...)`` that ``points`` needs.

    Returns:
      ``(N, T + 1)``.
    """
    images = widen(check_images(images))
    attributions = widen(check_attributions_of(images, attributions))
    if labels is not None:
        labels = check_labels(labels, images.shape[0])
    logits_fn = checked_model(logits_fn, labels)
    # With one step alone there is nothing between the two ends, and insertion is
    # deletion backwards.
    num_steps = check_integer("num_steps", num_steps, 2)
    check_choice("order", order, ORDERS)

    def compute(
        steps_per_call: int,
        images: Array,
        attributions: Array,
        labels: Array | None,
        per_image: tuple[Array, ...],
    ) -> Array:
        if labels is None:
            labels = jnp.argmax(logits_fn(images), axis=-1)
        score_fn = scores.stacked_rows(scores.probability, logits_fn, labels)
        if order == "joint":
            attributions = jnp.broadcast_to(attributions, images.shape)
        ranks = entry_ranks(attributions, order)
        due = entries_due(math.prod(ranks.shape[1:]), num_steps)

        def values(index: Array) -> Array:
            is_due = ranks[None] < due[index][:, None, None, None, None]
            return score_fn(points(images, is_due, index, *per_image))

        return stack_over(values, num_steps + 1, steps_per_call).T

    return by_image_batches(
        compute, batch_size, images, attributions, labels, per_image
    )


def entry_ranks(attributions: Array, order: str) -> Array:
    """``(N, H, W, C)`` maps to the ranks that say when an entry is due.

    ``(N, H, W, 1)`` where all channels of a pixel go together, else ``(N, H, W, C)``.
    """
    n, h, w, c = attributions.shape
    if order == "joint":
        ranks = rankings.descending_ranks(attributions.reshape(n, -1))
        return ranks.reshape(n, h, w, c)
    if order == "channel_sum":
        attributions = jnp.sum(attributions, axis=-1, keepdims=True)
    channels = jnp.moveaxis(attributions, -1, 1).reshape(n, -1, h * w)
    # One channel: its rank. Several: the pixel is due with its first channel.
    ranks = jnp.min(rankings.descending_ranks(channels), axis=1)
    return ranks.reshape(n, h, w, 1)


def entries_due(num_entries: int, num_steps: int) -> Array:
    """``⌈P k / T⌉`` for k = 0 .. T, ``(T + 1,)``, in exact integers."""
    return jnp.asarray([-(-num_entries * k // num_steps) for k in range(num_steps + 1)])
