"""Blur integrated gradients: from a blurred image to the image, scale by scale."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_number, check_task, fail
from jaxattr._loops import by_image_batches
from jaxattr._numerics import quadrature
from jaxattr.frequencies.scale_space import blurred_and_slope
from jaxattr.paths import integrate_curve
from jaxattr.typing import Array, LogitsFn, Score


def blur_ig(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    max_sigma: float = 50.0,
    num_steps: int = 100,
    rule: str = "left",
    score: Score | str = scores.logit,
) -> Array:
    """Integrated gradients along scales: no baseline but the blurred image itself.

    ``A = -∫ ∂score/∂x (x_σ) ⊙ ∂x_σ/∂σ dσ`` from 0 to ``max_sigma``, ``x_σ`` the image
    convolved with a Gaussian of standard deviation σ (zeros beyond the borders). The values
    of an image sum to ``score(x) - score(x_max)`` up to the error of the quadrature.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      max_sigma: the largest σ in pixels, a number that is known.
      num_steps: nodes of the quadrature, each a model pass.
      rule: of the quadrature over σ; ``left``, as published, begins with the image.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score.

    Raises:
      ValueError: as ``saliency``; an unknown rule; ``num_steps < 1``; a ``max_sigma`` that
        is not above zero.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.max(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> dot = jnp.zeros((1, 9, 9, 3)).at[0, 4, 4].set(1.0)
      >>> maps = ja.blur_ig(logits_fn, dot, jnp.array([1]), max_sigma=4.0)
      >>> bool(maps[0, 4, 4, 1] > 0.95)
      True

    References:
      Xu, Venugopalan, Sundararajan. Attribution in Scale and Space. CVPR 2020,
      arXiv:2004.03383. The authors' code takes ``∂x_σ/∂σ`` as a difference over 0.01; here
      it is the derivative of the same kernel, cut off at 4 σ.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    largest = check_sigma(max_sigma)
    nodes = quadrature.rule(rule, num_steps)

    def explain(steps_per_call: int, images: Array, labels: Array) -> Array:
        sigmas = largest * jnp.asarray(nodes.nodes, images.dtype)
        weights = -largest * jnp.asarray(nodes.weights, images.dtype)

        def scales(index: Array) -> tuple[Array, Array]:
            points, slope = blurred_and_slope(images, sigmas[index], largest)
            return points, weights[index][:, None, None, None, None] * slope

        return integrate_curve(
            scores.stacked_rows(score, logits_fn, labels),
            scales,
            len(nodes.nodes),
            steps_per_call=steps_per_call,
        )

    return by_image_batches(explain, batch_size, images, labels)


def check_sigma(max_sigma: float) -> float:
    """A known number above zero: matrices are as large as it asks."""
    number = check_number("max_sigma", max_sigma, 0.0)
    if not isinstance(number, float) or not 0 < number < math.inf:
        raise fail("max_sigma", "a number above 0 that is not traced", max_sigma)
    return number
