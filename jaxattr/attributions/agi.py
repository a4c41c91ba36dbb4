"""AGI: integrate the label's gradient along the ways to other classes."""

from __future__ import annotations

import functools

import optax

from jaxattr import projections, scores
from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_integer,
    check_key,
    check_number,
    check_task,
)
from jaxattr._loops import by_image_batches
from jaxattr.attributions.targets import (
    check_num_targets,
    count_classes,
    draw_targets,
    sum_over_targets,
)
from jaxattr.gradients import gradient, gradient_at_points
from jaxattr.paths import adversarial_path, integrate_path
from jaxattr.steps import sign_step
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar


def agi(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    num_targets: int = 20,
    num_steps: int = 20,
    step_size: Scalar = 0.05,
    origin: str = "image",
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """Adversarial gradient integration.

    ``A = -Σ_l Σₜ (xₜ₊₁ - o) ⊙ ∂p_y/∂x (xₜ)`` over random classes ``l ≠ y``, where
    ``xₜ₊₁ = clip(o + α sign ∂p_l/∂x (xₜ))`` until the model predicts l, p the softmax
    probabilities. As released ``o`` is the image, so the points are never further than
    one step from it; with ``origin="current"`` it is ``xₜ`` and they move on.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``; the released code takes the predicted class.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      num_targets: random classes an image, without repetition, at most ``K - 1``.
      num_steps: T; two gradients and a forward pass each, for every target.
      step_size: α in pixel units.
      origin: ``image`` or ``current``.
      bounds: the least and the largest pixel value.

    Returns:
      ``(N, H, W, C)``, in probability. The sign step has no derivative.

    Raises:
      ValueError: as ``smoothgrad``; an unknown origin; as many targets as classes.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> maps = ja.agi(
      ...     logits_fn, image, jnp.array([0]), key=jax.random.key(0), num_targets=2
      ... )
      >>> maps.shape
      (1, 1, 1, 3)

    References:
      Pan, Li, Zhu. Explaining Deep Neural Network Models with Adversarial Gradient
      Integration. IJCAI 2021. The released batch code sums the probabilities of all
      predicted classes of a batch; here every image has its own.
    """
    bounds = check_bounds(bounds)
    logits_fn, images, labels = check_task(logits_fn, images, labels, bounds=bounds)
    keys = check_key(key, labels)
    num_targets = check_integer("num_targets", num_targets)
    num_steps = check_integer("num_steps", num_steps)
    step_size = check_number("step_size", step_size, 0.0)
    check_choice("origin", origin, ("image", "current"))
    num_classes = count_classes(logits_fn, images, batch_size)
    check_num_targets(num_targets, num_classes)

    def explain(
        targets_per_call: int, images: Array, labels: Array, keys: Array
    ) -> Array:
        toward = functools.partial(
            _toward,
            logits_fn,
            num_steps=num_steps,
            step_size=step_size,
            origin=origin,
            bounds=bounds,
        )
        targets = draw_targets(keys, labels, num_targets, num_classes)
        return sum_over_targets(toward, images, labels, targets, targets_per_call)

    return by_image_batches(explain, batch_size, images, labels, keys)


def _toward(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    targets: Array,
    *,
    num_steps: int,
    step_size: Scalar,
    origin: str,
    bounds: Bounds,
) -> Array:
    """The part of one target class for each image, ``(N, H, W, C)``."""
    label_probability = scores.probability(logits_fn, labels)
    path = adversarial_path(
        gradient_at_points(scores.probability(logits_fn, targets)),
        direction=optax.identity(),
        move=sign_step(step_size),
        project=lambda points: projections.box(points, bounds),
        origin=images if origin == "image" else None,
        stop=lambda points: scores.correct(logits_fn(points), targets),
    )
    return -integrate_path(
        path,
        images,
        None,
        num_steps=num_steps,
        integrand=lambda info: gradient(label_probability, info.points),
    )
