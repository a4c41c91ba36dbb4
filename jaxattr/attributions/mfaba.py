"""MFABA: integrate the gradient along the way to the decision boundary."""

from __future__ import annotations

import functools

import optax

from jaxattr import projections, scores
from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_integer,
    check_number,
    check_task,
)
from jaxattr._loops import by_image_batches
from jaxattr.gradients import gradient_at_points
from jaxattr.paths import adversarial_path, integrate_path
from jaxattr.steps import normalized_step, sign_step
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score

_STEPS = ("sign", "normalized")


def mfaba(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.probability,
    num_steps: int = 50,
    step_size: Scalar = 0.001,
    epsilon: Scalar = 0.3,
    step: str = "sign",
    accumulate: bool = False,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """More faithful and accelerated boundary-based attribution.

    ``A = -Σₜ (xₜ₊₁ - xₜ) ⊙ gₜ`` with ``gₜ = ∂ score / ∂ x (xₜ)``, from the image until
    the model predicts another class or T steps are done::

        sign        x ← clip(x⁰ + clip(x - α sign(g) - x⁰, -ε, ε))
        normalized  x ← clip(x - 100 α g / ‖g‖₂)

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``; an image that is not predicted so from the start does
        not move and has a map of zeros.
      key: not used.
      batch_size: the most model rows in one call; the steps follow one another, so a
        call never takes more than N.
      score: what is explained and descended; see ``jaxattr.scores``.
      num_steps: T, each one gradient and one forward pass.
      step_size: α in pixel units.
      epsilon: ε in pixel units; only the sign step is held in its ball.
      step: ``sign`` ("smooth" in the paper) or ``normalized`` ("sharp").
      accumulate: take for gₜ the sum of the gradients up to step t, as the released
        code does, which never clears its gradient buffer.
      bounds: the least and the largest pixel value.

    Returns:
      ``(N, H, W, C)``, in units of the score: what each value contributed to its fall.
      The sign step has no derivative.

    Raises:
      ValueError: as ``saliency``; an unknown step; ``num_steps < 1``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> maps = ja.mfaba(logits_fn, image, jnp.array([0]), num_steps=5)
      >>> bool((maps > 0).all())
      True

    References:
      Zhu, Jin, Zhang, Chen. MFABA: A More Faithful and Accelerated Boundary-based
      Attribution Method for Deep Neural Networks. AAAI 2024. The released code clears
      its running sums for the whole batch when one of its images is done;
      ``accumulate`` is what it computes for an image alone.
    """
    del key
    bounds = check_bounds(bounds)
    logits_fn, images, labels = check_task(logits_fn, images, labels, bounds=bounds)
    score = scores.as_score(score)
    num_steps = check_integer("num_steps", num_steps)
    step_size = check_number("step_size", step_size, 0.0)
    epsilon = check_number("epsilon", epsilon, 0.0)
    check_choice("step", step, _STEPS)

    def explain(_: int, images: Array, labels: Array) -> Array:
        if step == "sign":
            move = sign_step(-step_size)
            project = projections.linf_ball_and_box(images, epsilon, bounds)
        else:
            move = normalized_step(-100 * step_size)
            project = functools.partial(projections.box, bounds=bounds)
        path = adversarial_path(
            gradient_at_points(score(logits_fn, labels)),
            direction=optax.trace(1.0) if accumulate else optax.identity(),
            move=move,
            project=project,
            stop=lambda points: scores.misclassified(logits_fn(points), labels),
        )
        return -integrate_path(
            path,
            images,
            None,
            num_steps=num_steps,
            integrand=lambda info: info.direction,
        )

    return by_image_batches(explain, batch_size, images, labels)
