"""What is explained or attacked: one number an image, ``(logits_fn, labels) -> ScoreFn``.

A score is a factory, so that the same word means the same thing in every method::

    ja.integrated_gradients(logits_fn, images, labels, score=ja.scores.margin)

Any function of the same form will do. Logits narrower than float32 are widened first,
so a bfloat16 model is scored and differentiated with float32 accumulation. A label
outside ``0 .. K-1`` gives NaN, and a gradient of NaN: scores look at no values. Methods
refuse such a label where it is not traced.

Wherever a score is taken its name is too: ``score="margin"``.

Models that are no classifiers become such before they are scored: ``two_columns``,
``region``, ``box``, ``similarity``.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr._checks import check_choice, check_integer
from jaxattr._numerics.dtypes import widen
from jaxattr._outputs import box, region, similarity, two_columns
from jaxattr.typing import Array, LogitsFn, Score, ScoreFn

__all__ = [
    "as_score",
    "box",
    "cross_entropy",
    "difference",
    "log_probability",
    "logit",
    "margin",
    "probability",
    "region",
    "similarity",
    "two_columns",
]


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


def difference(other: int) -> Score:
    """``z_y - z_o``: why this class and not that one.

    Unlike ``margin``, which takes whichever other class is largest at each point, the other
    class stays. Of the two classes with the largest logits it is the difference of the
    first and the second.

    Args:
      other: o, a class, the same for all images.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: x[:, 0, 0]
      >>> images = jnp.array([3.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
      >>> score = ja.scores.difference(2)
      >>> ja.saliency(logits_fn, images, jnp.array([0]), score=score).ravel()
      Array([ 1.,  0., -1.], dtype=float32)
    """
    other = check_integer("other", other, 0)

    def difference(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
        def score_fn(images: Array) -> Array:
            logits = widen(logits_fn(images))
            return select(logits, labels) - select(logits, jnp.full_like(labels, other))

        return score_fn

    return difference


NAMED: dict[str, Score] = {
    score.__name__: score
    for score in (logit, probability, log_probability, cross_entropy, margin)
}


def as_score(score: Score | str) -> Score:
    """A score, or the one of that name."""
    if callable(score):
        return score
    return NAMED[check_choice("score", score, NAMED)]


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


def correct(logits: Array, labels: Array) -> Array:
    """``(N,)`` bool: the label has the largest logit; never where a logit is NaN."""
    is_label = jnp.argmax(logits, axis=-1) == labels
    return is_label & ~jnp.isnan(logits).any(axis=-1)


def misclassified(logits: Array, labels: Array) -> Array:
    """``(N,)`` bool: another class has the largest logit.

    Never where a logit is NaN, and never for a label that is no class.
    """
    is_other = jnp.argmax(logits, axis=-1) != labels
    is_known = ~jnp.isnan(logits).any(axis=-1) & is_class(logits, labels)
    return is_other & is_known


def is_class(logits: Array, labels: Array) -> Array:
    """``(N,)`` bool: the label is one of the columns."""
    return (labels >= 0) & (labels < logits.shape[-1])


def nan_unless_class(logits: Array, labels: Array) -> Array:
    """``(N,)``: one, NaN for a label that is not a column."""
    one = jnp.ones((), logits.dtype)
    return jnp.where(is_class(logits, labels), one, jnp.nan)


def select(values: Array, labels: Array) -> Array:
    """``values[n, labels[n]]``, NaN for a label that is not a column.

    Then the derivative is NaN too: one of zero would pass for an explanation.
    """
    values = values * nan_unless_class(values, labels)[:, None]
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
