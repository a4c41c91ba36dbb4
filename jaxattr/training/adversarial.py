"""Losses for predictions that resist perturbation: the plain one, PGD and TRADES."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._checks import check_inputs, check_key
from jaxattr._logits import checked_model
from jaxattr.gradients import gradient_at_points
from jaxattr.training._inner import ApplyFn, Params, ascend, cross_entropy
from jaxattr.typing import Array, Bounds, Scalar, ScoreFn


def standard_loss(
    apply_fn: ApplyFn, params: Params, images: Array, labels: Array
) -> Array:
    """``1/N Σ ℓ(xₙ)``, ℓ the cross-entropy: what the others are compared with.

    Args:
      apply_fn: ``(params, images)`` to logits ``(N, K)``.
      params: a pytree of parameters.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.

    Returns:
      ``()``.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxattr import training
      >>> apply_fn = lambda params, x: x[:, 0, 0, :] * params
      >>> loss = training.standard_loss(
      ...     apply_fn, 0.0, jnp.ones((1, 1, 1, 2)), jnp.array([0])
      ... )
      >>> f"{loss:.4f}"
      '0.6931'
    """
    images, labels = check_inputs(images, labels)
    return jnp.mean(cross_entropy(apply_fn, params, labels)(images))


def pgd_loss(
    apply_fn: ApplyFn,
    params: Params,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    epsilon: Scalar = 8 / 255,
    step_size: Scalar = 2 / 255,
    num_steps: int = 7,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """Adversarial training: the loss at the worst point that a short attack finds.

    ``1/N Σ ℓ(x'ₙ)``, x' by T sign steps on ℓ from a uniform start in the L∞ ball.

    Args:
      apply_fn: ``(params, images)`` to logits ``(N, K)``.
      params: a pytree of parameters.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      epsilon: radius of the ball in pixel units.
      step_size: of the inner attack, in pixel units.
      num_steps: T.
      bounds: the least and the largest pixel value.

    Returns:
      ``()``.

    Raises:
      ValueError: shapes that do not fit, no key.

    References:
      Madry, Makelov, Schmidt, Tsipras, Vladu. Towards Deep Learning Models Resistant to
      Adversarial Attacks. ICLR 2018, arXiv:1706.06083.
    """
    images, labels = check_inputs(images, labels)
    score_fn = cross_entropy(apply_fn, params, labels)
    points = ascend(
        gradient_at_points(score_fn),
        images,
        check_key(key, labels),
        epsilon,
        step_size,
        num_steps,
        bounds,
    )
    return jnp.mean(score_fn(points))


def trades_loss(
    apply_fn: ApplyFn,
    params: Params,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    beta: Scalar = 6.0,
    epsilon: Scalar = 8 / 255,
    step_size: Scalar = 2 / 255,
    num_steps: int = 10,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """TRADES: the loss at the image, and how far predictions move around it.

    ``1/N Σ ℓ(x) + β KL(p(x) ‖ p(x'))``, x' ascending the divergence from
    ``x + 0.001 ξ``, ``ξ ~ N(0, I)``: at x itself its gradient is zero.

    Args:
      apply_fn: ``(params, images)`` to logits ``(N, K)``.
      params: a pytree of parameters.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      beta: β, the weight of the divergence.
      epsilon: radius of the ball in pixel units.
      step_size: of the inner attack, in pixel units.
      num_steps: of the inner attack.
      bounds: the least and the largest pixel value.

    Returns:
      ``()``.

    Raises:
      ValueError: shapes that do not fit, no key.

    References:
      Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan. Theoretically Principled Trade-off
      between Robustness and Accuracy. ICML 2019, arXiv:1901.08573.
    """
    images, labels = check_inputs(images, labels)
    logits_fn = checked_model(lambda x: apply_fn(params, x), labels, "apply_fn")
    clean = jax.nn.log_softmax(logits_fn(images))

    def divergence(clean: Array) -> ScoreFn:
        def score_fn(points: Array) -> Array:
            moved = jax.nn.log_softmax(logits_fn(points))
            # A class of probability zero, such as one that is masked, adds nothing.
            is_possible = clean > -jnp.inf
            apart = jnp.where(is_possible, clean, 0) - jnp.where(is_possible, moved, 0)
            return jnp.sum(jnp.exp(clean) * apart, axis=-1)

        return score_fn

    keys = check_key(key, labels)
    noise = 0.001 * _random.normal(keys, images.shape[1:], images.dtype)
    points = ascend(
        gradient_at_points(divergence(jax.lax.stop_gradient(clean))),
        images,
        keys,
        epsilon,
        step_size,
        num_steps,
        bounds,
        start=images + noise,
    )
    natural = -scores.select(clean, labels)
    return jnp.mean(natural + beta * divergence(clean)(points))
