"""What the losses share: the score they are made of, and the inner attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxattr import _random, projections, scores
from jaxattr._checks import check_bounds, check_integer, check_number
from jaxattr._task import check_values, checked_model
from jaxattr.paths import adversarial_path
from jaxattr.steps import sign_step
from jaxattr.typing import Array, GradientFn, ScoreFn

ApplyFn = Callable[[Any, Array], Array]
"""``(params, images)`` to logits ``(N, K)``."""


def cross_entropy(apply_fn: ApplyFn, params: Any, labels: Array) -> ScoreFn:
    """ℓ as a function of points ``(..., N, H, W, C)``."""
    logits_fn = checked_model(lambda x: apply_fn(params, x), labels, "apply_fn")
    return scores.stacked_rows(scores.cross_entropy, logits_fn, labels)


def ascend(
    gradient_fn: GradientFn,
    images: Array,
    keys: Array | None,
    epsilon: Any,
    step_size: Any,
    num_steps: int,
    bounds: tuple[Any, Any],
    *,
    start: Array | None = None,
) -> Array:
    """Where T sign steps lead from a uniform draw of the ball, a constant."""
    check_integer("num_steps", num_steps)
    bounds = check_bounds(bounds)
    check_values(images, bounds=bounds)
    for name, value in (("epsilon", epsilon), ("step_size", step_size)):
        check_number(name, value, 0.0)

    def project(points: Array) -> Array:
        return projections.box(projections.linf_ball(points, images, epsilon), bounds)

    path = adversarial_path(
        gradient_fn,
        direction=optax.identity(),
        move=sign_step(step_size),
        project=project,
    )
    if keys is not None:
        noise = _random.uniform(keys, images.shape[1:], images.dtype, -1.0, 1.0)
        start = images + epsilon * noise
    state, _ = jax.lax.scan(
        lambda state, _: (path.step(None, state)[0], None),
        path.init(project(start)),
        length=num_steps,
    )
    return jax.lax.stop_gradient(state.points)
