"""Attributions that integrate the gradient along straight lines."""

from __future__ import annotations

from jaxattr import _random, scores
from jaxattr._checks import (
    check_float_array,
    check_integer,
    check_key,
    check_like_images,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches, mean_over
from jaxattr._numerics import quadrature
from jaxattr.gradients import gradient
from jaxattr.paths import integrate_line
from jaxattr.typing import Array, LogitsFn, Scalar, Score


def integrated_gradients(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    baseline: Scalar = 0.0,
    num_steps: int = 50,
    rule: str = "midpoint",
    score: Score | str = scores.logit,
    multiply_by_delta: bool = True,
) -> Array:
    """The mean gradient between a baseline and the image, times their difference.

    ``A = (x - x') ⊙ ∫₀¹ ∂ score / ∂ x (x' + α (x - x')) dα``. The values of an image
    sum to ``score(x) - score(x')`` (completeness) up to the error of the quadrature.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      baseline: x', a number, an image ``(H, W, C)`` or ``(N, H, W, C)``.
      num_steps: nodes of the quadrature, each a model pass.
      rule: ``left``, ``right``, ``midpoint``, ``trapezoid`` or ``gauss-legendre``, with
        weights that sum to one: each is exact on a linear function.
      score: what is explained; see ``jaxattr.scores``.
      multiply_by_delta: without it, the mean gradient itself.

    Returns:
      ``(N, H, W, C)``, in units of the score.

    Raises:
      ValueError: as ``saliency``; an unknown rule; ``num_steps < 1``; a baseline that
        is neither a number nor shaped like the images.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> product = lambda x: jnp.prod(x, axis=(1, 2, 3))[:, None] * jnp.eye(2)[:1]
      >>> images = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2)
      >>> ja.integrated_gradients(product, images, jnp.array([0])).ravel()
      Array([1., 1.], dtype=float32)

    References:
      Sundararajan, Taly, Yan. Axiomatic Attribution for Deep Networks. ICML 2017,
      arXiv:1703.01365.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    baseline = check_like_images("baseline", baseline, images)
    return integrate_from(
        logits_fn,
        images,
        labels,
        baseline,
        quadrature.rule(rule, num_steps),
        score=score,
        multiply_by_delta=multiply_by_delta,
        batch_size=batch_size,
    )


def integrate_from(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    baseline: Array,
    nodes: quadrature.Rule,
    *,
    score: Score,
    multiply_by_delta: bool,
    batch_size: int | None,
) -> Array:
    """``integrated_gradients`` of arguments that have been checked.

    Args:
      logits_fn: as in ``integrated_gradients``.
      images: ``(N, H, W, C)``.
      labels: ``(N,)``.
      baseline: ``(N, H, W, C)``.
      nodes: of the quadrature.
      score: as in ``integrated_gradients``.
      multiply_by_delta: as in ``integrated_gradients``.
      batch_size: as in ``integrated_gradients``.
    """

    def explain(
        steps_per_call: int, images: Array, labels: Array, baseline: Array
    ) -> Array:
        score_fn = scores.stacked_rows(score, logits_fn, labels)
        mean_gradient = integrate_line(
            score_fn, baseline, images, nodes, steps_per_call=steps_per_call
        )
        return (
            (images - baseline) * mean_gradient if multiply_by_delta else mean_gradient
        )

    return by_image_batches(explain, batch_size, images, labels, baseline)


def expected_gradients(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    references: Array,
    num_samples: int = 50,
    score: Score | str = scores.logit,
) -> Array:
    """Integrated gradients averaged over baselines drawn from the data.

    ``A = 1/N Σₙ (x - rₙ) ⊙ ∂ score / ∂ x (rₙ + αₙ (x - rₙ))``, ``rₙ`` uniform over the
    references, ``αₙ ~ U(0, 1)``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      references: float ``(R, H, W, C)``, images that stand for the data.
      num_samples: draws of reference and α an image, each a model pass.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score. In expectation the values of an image sum
      to its score minus the mean score of the references.

    Raises:
      ValueError: as ``saliency``; no key; references of another image shape.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images, labels = jnp.ones((1, 1, 1, 3)), jnp.array([2])
      >>> references = jnp.full((4, 1, 1, 3), 0.5)
      >>> ja.expected_gradients(
      ...     logits_fn, images, labels, key=jax.random.key(0), references=references
      ... ).ravel()
      Array([0., 0., 1.], dtype=float32)

    References:
      Erion, Janizek, Sturmfels, Lundberg, Lee. Improving performance of deep learning
      models with axiomatic attribution priors and expected gradients. Nature Machine
      Intelligence 2021, arXiv:1906.10670.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    keys = check_key(key, labels)
    num_samples = check_integer("num_samples", num_samples)
    references = check_float_array("references", references, "(R, H, W, C)", 4)
    if references.shape[1:] != images.shape[1:]:
        raise fail("references", f"(R,) + {images.shape[1:]}", references)
    references = references.astype(images.dtype)

    def explain(
        samples_per_call: int, images: Array, labels: Array, keys: Array
    ) -> Array:
        score_fn = scores.stacked_rows(score, logits_fn, labels)

        def terms(index: Array) -> Array:
            sample_keys = _random.fold_in(keys, index)
            reference_keys, alpha_keys = _random.split(sample_keys, 2)
            reference = _random.choice(reference_keys, references)
            alpha = _random.uniform(alpha_keys, (1, 1, 1), images.dtype)
            delta = images[None] - reference
            return delta * gradient(score_fn, reference + alpha * delta)

        return mean_over(terms, num_samples, samples_per_call)

    return by_image_batches(explain, batch_size, images, labels, keys)
