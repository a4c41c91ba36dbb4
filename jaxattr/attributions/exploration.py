"""The integral along an attack's path that the AttEXplore family shares."""

from __future__ import annotations

from jaxattr import _random, scores
from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_integer,
    check_key,
    check_number,
    check_task,
)
from jaxattr._loops import by_image_batches
from jaxattr.attacks.attack import (
    Attack,
    Problem,
    attack_path,
    check_score,
    steps_of,
)
from jaxattr.gradients import gradient
from jaxattr.paths import PathInfo, integrate_path
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score

_SIGNS = {"ascend": 1, "descend": -1}


def explore(
    attack: Attack,
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None,
    batch_size: int | None,
    epsilon: Scalar,
    num_steps: int,
    direction: str,
    softmax_stack: int,
    bounds: Bounds,
    integrand: str = "direction",
    score: Score | str = scores.cross_entropy,
) -> Array:
    """``s Σₜ (xₜ₊₁ - xₜ) ⊙ hₜ`` along the attack's path; see ``attexplore_pp``."""
    bounds = check_bounds(bounds)
    logits_fn, images, labels = check_task(logits_fn, images, labels, bounds=bounds)
    score = scores.as_score(score)
    keys = check_key(key, labels)
    check_score(attack, score)
    num_steps = check_integer("num_steps", num_steps)
    softmax_stack = check_integer("softmax_stack", softmax_stack)
    epsilon = check_number("epsilon", epsilon, 0.0)
    sign = _SIGNS[check_choice("direction", direction, _SIGNS)]
    check_choice("integrand", integrand, ("direction", "gradient"))
    num_steps, step_size = steps_of(attack, epsilon, num_steps)
    model = scores.repeated_softmax(logits_fn, softmax_stack - 1)

    def explain(
        samples_per_call: int, images: Array, labels: Array, keys: Array
    ) -> Array:
        loss = scores.stacked_rows(score, model, labels)
        problem = Problem(
            logits_fn=logits_fn,
            labels=labels,
            loss=loss,
            images=images,
            # Steps fold theirs with 0 .. T-1.
            keys=_random.fold_in(keys, num_steps),
            epsilon=epsilon,
            step_size=sign * step_size,
            bounds=bounds,
            samples_per_call=samples_per_call,
        )

        def followed(info: PathInfo[object]) -> Array:
            return info.direction

        def plain(info: PathInfo[object]) -> Array:
            return gradient(loss, info.points)

        return sign * integrate_path(
            attack_path(attack, problem),
            images,
            keys,
            num_steps=num_steps,
            integrand=followed if integrand == "direction" else plain,
        )

    return by_image_batches(explain, batch_size, images, labels, keys)
