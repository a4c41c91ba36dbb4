"""IROF: how fast the score falls as whole segments of the image are removed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import scores
from jaxattr._checks import (
    check_attributions,
    check_images,
    check_integer,
    check_labels,
    check_like_images,
    fail,
)
from jaxattr._logits import checked_model
from jaxattr._loops import by_image_batches, stack_over
from jaxattr._numerics import rankings
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array, LogitsFn, Scalar, Score


def irof(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    *,
    labels: Array | None = None,
    segments: Array,
    substrate: Scalar | str = "mean",
    num_segments: int | None = None,
    score: Score | str = scores.probability,
    batch_size: int | None = None,
) -> Array:
    """The area over the curve of the score as segments are removed, best first.

    ``1 - 1/L Σ_{l=1..L} (c_{l-1} + c_l) / 2`` with ``c_l = f(x_l) / f(x_0)``, x_l the image
    whose first l of L segments have been replaced, in the order of their mean attribution,
    channels summed, largest first. Removing segments leaves fewer edges that are in no
    photograph than removing pixels. Higher is better; a map that says nothing is near the
    mean of all orders, and 1 would be a score that is gone with the first segment.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: ``(N, H, W, C)`` or ``(N, H, W)``, signed values as they are.
      labels: integers ``(N,)``; by default the class predicted on the clean image.
      segments: integers ``(N, H, W)``, the segment of each pixel, of each image from 0 on
        without gaps. Images may have different numbers of them.
      substrate: what stands where a segment has been removed: ``mean``, the mean colour of
        the image, as published; or a number, ``(H, W, C)`` or ``(N, H, W, C)``.
      num_segments: the largest number of segments of an image; needed only where
        ``segments`` is traced.
      score: f; see ``jaxattr.scores``. One whose sign changes has no such curve.
      batch_size: the most model rows in one call.

    Returns:
      ``(N,)``, at most 1 for a score that is not negative. NaN where traced segments are
      not below ``num_segments``, or where a map or the first score is.

    Raises:
      ValueError: shapes that do not fit, segments with gaps or below zero.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.array([1.0, 0.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
      >>> logits_fn = lambda x: jnp.log(0.5 + 4 * x.mean((1, 2)) * jnp.array([[1.0, 0]]))
      >>> segments = jnp.arange(4).reshape(1, 2, 2)
      >>> found = ja.irof(logits_fn, images, images, segments=segments, substrate=0.0)
      >>> f"{found[0]:.4f}"
      '0.2917'

    References:
      Rieger, Hansen. IROF: a low resource evaluation metric for explanation methods.
      2020, arXiv:2003.08747.
    """
    images = widen(check_images(images))
    attributions = widen(check_attributions(attributions))
    if attributions.shape not in (images.shape, images.shape[:-1] + (1,)):
        expected = f"shape {images.shape} or {images.shape[:-1]}"
        raise fail("attributions", expected, attributions)
    if labels is not None:
        labels = check_labels(labels, images.shape[0])
    logits_fn, score = checked_model(logits_fn, labels), scores.as_score(score)
    segments, num_steps = _checked_segments(segments, images, num_segments)
    if isinstance(substrate, str):
        if substrate != "mean":
            raise fail("substrate", "'mean', a number or an array", substrate)
        substrate = jnp.mean(images, axis=(1, 2), keepdims=True) + 0 * images
    substrate = check_like_images("substrate", substrate, images)

    def compute(
        steps_per_call: int,
        images: Array,
        maps: Array,
        substrate: Array,
        segments: Array,
        labels: Array | None,
    ) -> Array:
        if labels is None:
            labels = jnp.argmax(logits_fn(images), axis=-1)
        score_fn = scores.stacked_rows(score, logits_fn, labels)
        ranks, count = jax.vmap(lambda m, s: _ranks(m, s, num_steps))(maps, segments)

        def values(index: Array) -> Array:
            is_due = (ranks[None] < index[:, None, None, None])[..., None]
            return score_fn(jnp.where(is_due, substrate[None], images[None]))

        curves = stack_over(values, num_steps + 1, steps_per_call).T
        curves = curves / curves[:, :1]
        # The trapezoid rule up to the last segment of each image.
        place = jnp.arange(num_steps + 1)[None]
        last = count[:, None]
        inner = ((place > 0) & (place < last)).astype(curves.dtype)
        ends = ((place == 0) | (place == last)).astype(curves.dtype) / 2
        area = jnp.sum(curves * (inner + ends), axis=1) / count.astype(curves.dtype)
        wrong = jnp.any((segments < 0) | (segments >= num_steps), axis=(1, 2))
        wrong |= jnp.any(jnp.isnan(maps), axis=(1, 2))
        return jnp.where(wrong, jnp.nan, 1 - area)

    return by_image_batches(
        compute,
        batch_size,
        images,
        jnp.sum(attributions, axis=-1),
        substrate,
        segments,
        labels,
    )


def _ranks(values: Array, segments: Array, num_segments: int) -> tuple[Array, Array]:
    """The rank of each pixel's segment by its mean, ``(H, W)``, and how many there are."""
    flat = segments.reshape(-1)
    total = lambda v: jnp.zeros(num_segments, v.dtype).at[flat].add(v, mode="drop")
    sizes = total(jnp.ones_like(values.reshape(-1)))
    is_there = sizes > 0
    means = total(values.reshape(-1)) / jnp.where(is_there, sizes, 1)
    ranks = rankings.descending_ranks(jnp.where(is_there, means, -jnp.inf))
    return ranks[segments], jnp.sum(is_there)


def _checked_segments(
    segments: Array, images: Array, num_segments: int | None
) -> tuple[Array, int]:
    """Integers ``(N, H, W)`` and the largest number of segments of an image."""
    shape = images.shape[:3]
    expected = f"integers {shape}, the segment of each pixel"
    array = jnp.asarray(segments)
    if not jnp.issubdtype(array.dtype, jnp.integer) or array.shape != shape:
        raise fail("segments", expected, array)
    if num_segments is not None:
        num_segments = check_integer("num_segments", num_segments)
    if isinstance(segments, jax.core.Tracer):
        if num_segments is None:
            raise ValueError(
                "num_segments: expected the largest number of segments of an image, "
                "since segments are traced; got None"
            )
        return array.astype(int), num_segments
    for i, values in enumerate(np.asarray(segments)):
        found = np.unique(values)
        if found[0] != 0 or found[-1] != len(found) - 1:
            raise ValueError(
                f"segments: expected 0 to S - 1 without gaps in each image, got "
                f"{found[0]} to {found[-1]} with {len(found)} different values in "
                f"image {i}"
            )
    largest = int(np.max(np.asarray(segments))) + 1
    if num_segments is not None and num_segments < largest:
        raise fail("num_segments", f"at least the {largest} of segments", num_segments)
    return array.astype(int), num_segments or largest
