"""Attributions that are gradients, at the image or averaged around it."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_integer, check_key, check_number, check_task
from jaxattr._loops import by_image_batches
from jaxattr.gradients import averaged_gradient, gradient
from jaxattr.perturbations import gaussian
from jaxattr.typing import Array, LogitsFn, Scalar, Score


def saliency(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.logit,
    absolute: bool = False,
) -> Array:
    """The gradient of the score at the image.

    ``A = ∂ score / ∂ x``, or its absolute value.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      absolute: return ``|A|``, the form of the original paper.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value.

    Raises:
      ValueError: wrong rank, images that are not floating point, labels of another
        length.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> ja.saliency(logits_fn, jnp.ones((1, 1, 1, 3)), jnp.array([2])).ravel()
      Array([0., 0., 2.], dtype=float32)

    References:
      Simonyan, Vedaldi, Zisserman. Deep Inside Convolutional Networks. ICLR workshop
      2014, arXiv:1312.6034.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)

    def explain(_: int, images: Array, labels: Array) -> Array:
        return gradient(score(logits_fn, labels), images)

    attributions = by_image_batches(explain, batch_size, images, labels)
    return jnp.abs(attributions) if absolute else attributions


def input_x_gradient(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.logit,
) -> Array:
    """The gradient times the image.

    ``A = x ⊙ ∂ score / ∂ x``: the contribution of each value if the model were linear,
    and integrated gradients from black in one step.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score.

    Raises:
      ValueError: as ``saliency``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x**2, axis=(1, 2))
      >>> images = jnp.array([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
      >>> ja.input_x_gradient(logits_fn, images, jnp.array([1])).ravel()
      Array([0. , 0.5, 0. ], dtype=float32)

    References:
      Shrikumar, Greenside, Shcherbina, Kundaje. Not Just a Black Box. 2016,
      arXiv:1605.01713.
    """
    attributions = saliency(
        logits_fn, images, labels, key=key, batch_size=batch_size, score=score
    )
    return jnp.asarray(images, attributions.dtype) * attributions


def smoothgrad(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    num_samples: int = 50,
    stddev: Scalar = 0.15,
    score: Score | str = scores.logit,
) -> Array:
    """The gradient averaged over Gaussian noise.

    ``A = 1/N Σₙ ∂ score / ∂ x`` at ``x + σ ξₙ``, ``ξₙ ~ N(0, I)``, not clipped.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      num_samples: noisy copies an image, each a model pass.
      stddev: σ in pixel units (0.15 is the usual 15 % of the range).
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value.

    Raises:
      ValueError: as ``saliency``; no key; fewer than one sample.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images, labels = jnp.ones((1, 1, 1, 3)), jnp.array([2])
      >>> ja.smoothgrad(logits_fn, images, labels, key=jax.random.key(0)).ravel()
      Array([0., 0., 2.], dtype=float32)

    References:
      Smilkov, Thorat, Kim, Viégas, Wattenberg. SmoothGrad: removing noise by adding
      noise. 2017, arXiv:1706.03825.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    keys = check_key(key, labels)
    num_samples = check_integer("num_samples", num_samples)
    stddev = check_number("stddev", stddev, 0.0)

    def explain(
        samples_per_call: int, images: Array, labels: Array, keys: Array
    ) -> Array:
        gradient_fn = averaged_gradient(
            scores.stacked_rows(score, logits_fn, labels),
            at=gaussian(stddev),
            num_samples=num_samples,
            samples_per_call=samples_per_call,
        )
        return gradient_fn(keys, images)

    return by_image_batches(explain, batch_size, images, labels, keys)
