"""What the losses share: the score they are made of, and the inner attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxattr import _random, projections, scores
from jaxattr._checks import check_bounds, check_integer, check_number, check_values
from jaxattr._logits import checked_model
from jaxattr.paths import adversarial_path, follow_path
from jaxattr.steps import sign_step
from jaxattr.typing import Array, Bounds, GradientFn, Scalar, ScoreFn

Params = Any
"""A pytree of parameters."""

ApplyFn = Callable[[Params, Array], Array]
"""``(params, images)`` to logits ``(N, K)``."""


def cross_entropy(apply_fn: ApplyFn, params: Params, labels: Array) -> ScoreFn:
    """ℓ as a function of points ``(..., N, H, W, C)``."""
    logits_fn = checked_model(lambda x: apply_fn(params, x), labels, "apply_fn")
    return scores.stacked_rows(scores.cross_entropy, logits_fn, labels)


def ascend(
    gradient_fn: GradientFn,
    images: Array,
    keys: Array,
    epsilon: Scalar,
    step_size: Scalar,
    num_steps: int,
    bounds: Bounds,
    *,
    start: Array | None = None,
) -> Array:
    """Where T sign steps lead from ``start``, by default a uniform draw of the ball.

    The result is a constant of the outer gradient.
    """
    check_integer("num_steps", num_steps)
    bounds = check_bounds(bounds)
    check_values(images, bounds=bounds)
    for name, value in (("epsilon", epsilon), ("step_size", step_size)):
        check_number(name, value, 0.0)

    project = projections.linf_ball_and_box(images, epsilon, bounds)
    path = adversarial_path(
        gradient_fn,
        direction=optax.identity(),
        move=sign_step(step_size),
        project=project,
    )
    if start is None:
        noise = _random.uniform(keys, images.shape[1:], images.dtype, -1.0, 1.0)
        start = images + epsilon * noise
    points = follow_path(path, project(start), None, num_steps=num_steps)
    return jax.lax.stop_gradient(points)
