"""What is explained or attacked: one number an image, ``(logits_fn, labels) -> ScoreFn``.

A score is a factory, so that the same word means the same thing in every method::

    ja.integrated_gradients(logits_fn, images, labels, score=ja.scores.margin)

Any function of the same form will do. Logits narrower than float32 are widened first,
so a bfloat16 model is scored and differentiated with float32 accumulation. A label
outside ``0 .. K-1`` gives NaN, not an exception: values are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr._dtypes import widen
from jaxattr.typing import Array, LogitsFn, Score, ScoreFn


def logit(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """``z_y``: the logit of the label."""
    return _score(logits_fn, labels, lambda logits: logits)


def probability(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """``softmax(z)_y``: the probability of the label."""
    return _score(logits_fn, labels, jax.nn.softmax)


def log_probability(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """``log softmax(z)_y``, finite for any finite logits."""
    return _score(logits_fn, labels, jax.nn.log_softmax)


def cross_entropy(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """``-log softmax(z)_y``: the loss that attacks ascend."""
    return _score(logits_fn, labels, lambda logits: -jax.nn.log_softmax(logits))


def margin(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """``z_y - max_{k≠y} z_k``: positive where the label wins, zero on its boundary."""

    def score_fn(images: Array) -> Array:
        logits = widen(logits_fn(images))
        is_label = jnp.arange(logits.shape[-1])[None, :] == labels[:, None]
        others = jnp.where(is_label, -jnp.inf, logits)
        return select(logits, labels) - jnp.max(others, axis=-1)

    return score_fn


def stacked_rows(score: Score, logits_fn: LogitsFn, labels: Array) -> ScoreFn:
    """The score of labels ``(N,)`` as a function of points ``(..., N, H, W, C)``.

    Leading axes (samples, steps) become model rows, so several share a call. The rows
    are image-major: where images are sharded over devices, merging moves nothing.
    """

    def score_fn(points: Array) -> Array:
        if points.ndim == 4:
            return score(logits_fn, labels)(points)
        num_samples, num_images = points.shape[:2]
        rows = jnp.swapaxes(points, 0, 1).reshape((-1,) + points.shape[2:])
        row_labels = jnp.broadcast_to(labels[:, None], (num_images, num_samples))
        values = score(logits_fn, row_labels.reshape(-1))(rows)
        return jnp.swapaxes(values.reshape(num_images, num_samples), 0, 1)

    return score_fn


def repeated_softmax(logits_fn: LogitsFn, times: int) -> LogitsFn:
    """``softmax(... softmax(z))``, ``times`` deep: what a model that ends in a softmax
    hands to a loss that applies one more."""

    def probabilities_fn(images: Array) -> Array:
        values = logits_fn(images)
        for _ in range(times):
            values = jax.nn.softmax(widen(values))
        return values

    return probabilities_fn


def select(values: Array, labels: Array) -> Array:
    """``values[n, labels[n]]``, NaN for a label that is not a column."""
    labels = jnp.where(labels < 0, values.shape[-1], labels)
    return jnp.take_along_axis(
        values, labels[:, None], axis=-1, mode="fill", fill_value=jnp.nan
    )[:, 0]


def _score(
    logits_fn: LogitsFn, labels: Array, transform: Callable[[Array], Array]
) -> ScoreFn:
    def score_fn(images: Array) -> Array:
        return select(transform(widen(logits_fn(images))), labels)

    return score_fn
