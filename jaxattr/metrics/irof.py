"""IROF: how fast the score falls as whole segments of the image are removed."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import (
    check_attributions_of,
    check_images,
    check_labels,
    check_like_images,
    fail,
)
from jaxattr._logits import checked_model
from jaxattr._loops import by_image_batches, stack_over
from jaxattr._numerics import rankings
from jaxattr._numerics.dtypes import widen
from jaxattr.segments import (
    Segments,
    at_pixels,
    check_segments,
    counted,
    sizes,
    totals,
)
from jaxattr.typing import Array, LogitsFn, Scalar, Score


def irof(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    *,
    labels: Array | None = None,
    segments: Segments,
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
      segments: as ``kernel_shap`` has them: integers ``(N, H, W)`` or ``(H, W)``, of each
        image from 0 on without gaps, or ``(rows, columns)`` of a grid.
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
    attributions = widen(check_attributions_of(images, attributions))
    if labels is not None:
        labels = check_labels(labels, images.shape[0])
    logits_fn, score = checked_model(logits_fn, labels), scores.as_score(score)
    segments, num_steps = check_segments(segments, images, num_segments)
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
        count, is_whole = counted(segments, num_steps)
        pixels = sizes(segments, num_steps)
        divisor = jnp.maximum(pixels, 1).astype(maps.dtype)
        means = totals(maps, segments, num_steps) / divisor
        means = jnp.where(pixels > 0, means, -jnp.inf)
        ranks = at_pixels(rankings.descending_ranks(means)[None], segments)[0]

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
        is_whole &= ~jnp.any(jnp.isnan(maps), axis=(1, 2))
        return jnp.where(is_whole, 1 - area, jnp.nan)

    return by_image_batches(
        compute,
        batch_size,
        images,
        jnp.sum(attributions, axis=-1),
        substrate,
        segments,
        labels,
    )
