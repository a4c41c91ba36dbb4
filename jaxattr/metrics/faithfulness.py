"""Insertion and deletion: does the score follow the pixels the map calls important?"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxattr._checks import (
    check_attributions,
    check_choice,
    check_float_array,
    check_images,
    check_integer,
    check_like_images,
    fail,
)
from jaxattr._numerics.dtypes import widen
from jaxattr.metrics.ranked_curves import ORDERS, entries_due, entry_ranks, ranked_curve
from jaxattr.typing import Array, LogitsFn, Scalar


def insertion_curve(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    *,
    labels: Array | None = None,
    num_steps: int = 224,
    substrate: Scalar = 0.0,
    order: str = "channel_sum",
    batch_size: int | None = None,
) -> Array:
    """Probability of the label as the most important values replace a substrate.

    Point k of the curve is ``softmax(z(x̃ₖ))_y`` where x̃ₖ has the first ``⌈P k / T⌉`` of
    the P ranked entries from the image and the rest from the substrate: k = 0 is the
    substrate alone, k = T the image. Faithful maps rise early.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: ``(N, H, W, C)``, ``(N, H, W, 1)`` or ``(N, H, W)``; signed values
        are ranked as they are, largest first. Ties keep row-major order; NaN comes
        last.
      labels: integers ``(N,)``; by default the class predicted on the clean image.
      num_steps: T, at least 2; T + 1 model passes an image.
      substrate: what stands where nothing is shown: a number, ``(H, W, C)`` or
        ``(N, H, W, C)``, in pixel units.
      order: ``channel_sum``, one order of the pixels by the sum of their channels (the
        usual protocol); ``channel_union``, every channel ranked alone and a pixel shown
        as soon as any of its channels is due, up to C times as many pixels a step
        (AttEXplore's published scores); ``joint``, one order of all ``H·W·C`` values,
        each shown alone.
      batch_size: the most model rows in one call.

    Returns:
      ``(N, T + 1)`` probabilities.

    Raises:
      ValueError: shapes that do not fit, an unknown order, ``num_steps < 2``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.array([1.0, 0.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
      >>> logits_fn = lambda x: jnp.log(0.5 + 4 * x.mean((1, 2)) * jnp.array([[1.0, 0]]))
      >>> curves = ja.insertion_curve(logits_fn, images, images, num_steps=4)
      >>> [f"{p:.2f}" for p in curves[0]]
      ['0.50', '0.75', '0.75', '0.75', '0.75']

    References:
      Petsiuk, Das, Saenko. RISE: Randomized Input Sampling for Explanation of
      Black-box Models. BMVC 2018, arXiv:1806.07421.
    """
    return _curve(
        logits_fn,
        images,
        attributions,
        labels,
        num_steps=num_steps,
        substrate=substrate,
        order=order,
        batch_size=batch_size,
        insert=True,
    )


def deletion_curve(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    *,
    labels: Array | None = None,
    num_steps: int = 224,
    substrate: Scalar = 0.0,
    order: str = "channel_sum",
    batch_size: int | None = None,
) -> Array:
    """Probability of the label as a substrate replaces the most important values.

    ``insertion_curve`` with image and substrate exchanged: k = 0 is the image, k = T
    the substrate alone. Faithful maps fall early.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: ``(N, H, W, C)`` or ``(N, H, W, 1)``.
      labels: integers ``(N,)``; by default the class predicted on the clean image.
      num_steps: T, at least 2; T + 1 model passes an image.
      substrate: a number, ``(H, W, C)`` or ``(N, H, W, C)``, in pixel units.
      order: ``channel_sum``, ``channel_union`` or ``joint``; see ``insertion_curve``.
      batch_size: the most model rows in one call.

    Returns:
      ``(N, T + 1)`` probabilities.

    Raises:
      ValueError: shapes that do not fit, an unknown order, ``num_steps < 2``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.array([1.0, 0.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
      >>> logits_fn = lambda x: jnp.log(0.5 + 4 * x.mean((1, 2)) * jnp.array([[1.0, 0]]))
      >>> curves = ja.deletion_curve(logits_fn, images, images, num_steps=4)
      >>> [f"{p:.2f}" for p in curves[0]]
      ['0.75', '0.50', '0.50', '0.50', '0.50']

    References:
      Petsiuk, Das, Saenko. RISE. BMVC 2018, arXiv:1806.07421.
    """
    return _curve(
        logits_fn,
        images,
        attributions,
        labels,
        num_steps=num_steps,
        substrate=substrate,
        order=order,
        batch_size=batch_size,
        insert=False,
    )


def area_under_curve(curves: Array) -> Array:
    """The area under each curve on a unit axis, by the trapezoid rule.

    ``(Σₖ Sₖ - (S₀ + S_T)/2) / T``.

    Args:
      curves: ``(N, T + 1)``, T at least one.

    Returns:
      ``(N,)``, in units of the curve, at least float32.

    Raises:
      ValueError: not a float array of two axes, or fewer than two points.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.area_under_curve(jnp.array([[0.0, 0.2, 0.5, 0.9, 1.0]]))
      Array([0.525], dtype=float32)
    """
    curves = widen(check_float_array("curves", curves, "(N, T + 1)", 2))
    if curves.shape[1] < 2:
        raise fail("curves", "at least two points a curve", curves)
    ends = (curves[:, 0] + curves[:, -1]) / 2
    return (jnp.sum(curves, axis=1) - ends) / (curves.shape[1] - 1)


def fraction_shown(
    attributions: Array, *, num_steps: int = 224, order: str = "channel_sum"
) -> Array:
    """The share of pixels that differ from the start at each point of the curves.

    Point k has the first ``⌈P k / T⌉`` of the P ranked entries changed; what is counted
    are pixels with at least one entry among them. With ``channel_sum`` that is the even
    line k / T. With ``channel_union`` it runs ahead, by up to C times, the less the
    channels of a map agree: scores under that order reward such maps for it.

    Args:
      attributions: ``(N, H, W, C)``, ranked as ``insertion_curve`` ranks them.
      num_steps: T.
      order: ``channel_sum``, ``channel_union`` or ``joint``.

    Returns:
      ``(N, T + 1)``, from 0 to 1, never falling.

    Raises:
      ValueError: not a float array of four axes, an unknown order, ``num_steps < 1``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> maps = jnp.eye(4).reshape(1, 2, 2, 4)  # every channel has its own pixel
      >>> ja.fraction_shown(maps, num_steps=4)
      Array([[0.  , 0.25, 0.5 , 0.75, 1.  ]], dtype=float32)
      >>> ja.fraction_shown(maps, num_steps=4, order="channel_union")
      Array([[0., 1., 1., 1., 1.]], dtype=float32)
    """
    attributions = widen(check_attributions(attributions))
    num_steps = check_integer("num_steps", num_steps)
    ranks = entry_ranks(attributions, check_choice("order", order, ORDERS))
    due = entries_due(math.prod(ranks.shape[1:]), num_steps)
    # A pixel is touched with the first of its entries.
    first = jnp.min(ranks, axis=-1).reshape(ranks.shape[0], -1)
    touched = jax.vmap(lambda ranks: jnp.searchsorted(jnp.sort(ranks), due))(first)
    return touched.astype(attributions.dtype) / first.shape[1]


def _curve(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array | None,
    *,
    num_steps: int,
    substrate: Scalar,
    order: str,
    batch_size: int | None,
    insert: bool,
) -> Array:
    images = check_images(images)
    substrate = check_like_images("substrate", substrate, widen(images))

    def points(images: Array, is_due: Array, _: Array, substrate: Array) -> Array:
        over, under = (images, substrate) if insert else (substrate, images)
        return jnp.where(is_due, over[None], under[None])

    return ranked_curve(
        points,
        logits_fn,
        images,
        attributions,
        labels,
        num_steps=num_steps,
        order=order,
        batch_size=batch_size,
        per_image=(substrate,),
    )
