"""Infidelity: does the map predict what a perturbation does to the score?"""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._checks import (
    check_attributions_of,
    check_integer,
    check_key,
    check_number,
    check_task,
)
from jaxattr._loops import by_image_batches, stack_over
from jaxattr._numerics import norms
from jaxattr.perturbations import gaussian
from jaxattr.typing import Array, LogitsFn, Perturbation, Scalar, Score


def infidelity(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    *,
    key: Array | None = None,
    num_samples: int = 100,
    normalize: bool = False,
    stddev: Scalar = 0.2,
    perturbation: Perturbation | None = None,
    score: Score | str = scores.logit,
    batch_size: int | None = None,
) -> Array:
    """The mean squared error of the map as a linear model of perturbations.

    ``E[(β Iᵀ A - (f(x) - f(x - I)))²]`` over random I, with ``β = 1``, or, normalised,
    the best factor ``β = E[Iᵀ A · Δf] / E[(Iᵀ A)²]``, so that only the direction of the
    map counts and methods of different units can be compared.

    A is what one unit of pixel value changes, a gradient. A map in units of the score
    (integrated gradients, input times gradient) belongs with ``multiply_by_delta=False``
    or with the normalised form.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: A, ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      num_samples: draws of I an image, each a model pass.
      normalize: scale the map by the best β of each image.
      stddev: σ of Gaussian I in pixel units, not clipped.
      perturbation: draws of ``x - I`` instead, from ``jaxattr.perturbations``.
      score: f; see ``jaxattr.scores``.
      batch_size: the most model rows in one call.

    Returns:
      ``(N,)``, in squared units of the score; 0 for the gradient of a linear model.
      Normalised, the β of a map that predicts nothing is 0.

    Raises:
      ValueError: shapes that do not fit, no key, fewer than one sample.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images, labels = jnp.ones((1, 4, 4, 3)), jnp.array([2])
      >>> maps = 3 * ja.saliency(logits_fn, images, labels)
      >>> given = dict(labels=labels, key=jax.random.key(0))
      >>> plain = ja.infidelity(logits_fn, images, maps, **given)
      >>> scaled = ja.infidelity(logits_fn, images, maps, normalize=True, **given)
      >>> bool(plain[0] > 1), bool(scaled[0] < 1e-6)
      (True, True)

    References:
      Yeh, Hsieh, Suggala, Inouye, Ravikumar. On the (In)fidelity and Sensitivity of
      Explanations. NeurIPS 2019, arXiv:1901.09392.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels, finite=False)
    score = scores.as_score(score)
    attributions = check_attributions_of(images, attributions).astype(images.dtype)
    if attributions.shape != images.shape:
        # What a pixel has is shared among its channels.
        attributions = attributions / images.shape[-1]
    keys = check_key(key, labels)
    num_samples = check_integer("num_samples", num_samples)
    stddev = check_number("stddev", stddev, 0.0)
    around = perturbation or gaussian(stddev)

    def compute(
        samples_per_call: int,
        images: Array,
        attributions: Array,
        labels: Array,
        keys: Array,
    ) -> Array:
        score_fn = scores.stacked_rows(score, logits_fn, labels)
        draw, value = around(images), score_fn(images)

        def terms(index: Array) -> Array:
            points = draw(_random.fold_in(keys, index))
            moved = images[None] - points
            predicted = jnp.sum(moved * attributions[None], axis=(2, 3, 4))
            return jnp.stack([predicted, value[None] - score_fn(points)], axis=1)

        pairs = stack_over(terms, num_samples, samples_per_call)
        predicted, actual = pairs[:, 0], pairs[:, 1]
        if normalize:
            # On the scale of the largest: squares of small maps leave the range.
            predicted = predicted / norms.scale_of(predicted, 0)
            power = jnp.sum(predicted**2, axis=0)
            factor = jnp.sum(predicted * actual, axis=0) / jnp.where(
                power == 0, 1, power
            )
            predicted = factor[None] * predicted
        return jnp.mean((predicted - actual) ** 2, axis=0)

    return by_image_batches(compute, batch_size, images, attributions, labels, keys)
