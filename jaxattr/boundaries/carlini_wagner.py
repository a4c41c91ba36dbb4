"""The attack of Carlini and Wagner as a member of a boundary search."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_integer, check_number
from jaxattr.boundaries.member import (
    Best,
    BoundaryTask,
    Evaluated,
    Member,
    closest_on,
    evaluator,
    follow_gradient,
    nearer,
    nothing_found,
)
from jaxattr.paths import adversarial_path
from jaxattr.steps import adam
from jaxattr.typing import Array

# Pixels at a bound stay a little inside, where tanh still has a slope.
_INSIDE = 0.999999


class _Weights(NamedTuple):
    """The bisection of c: lower and upper end and the value in turn, ``(N,)`` each."""

    low: Array
    high: Array
    value: Array


def carlini_wagner(
    *,
    num_searches: int = 5,
    num_steps: int = 50,
    step_size: float = 0.01,
    initial_weight: float = 0.1,
    confidence: float = 0.0,
) -> Member:
    """The L2 attack of Carlini and Wagner: a point near and of another class at once.

    Adam on ``‖x(w) - x‖² + c max(0, z_y - max_{k≠y} z_k + κ)``, ``x(w)`` a tanh that keeps
    pixels within the bounds; c is bisected for each image, and taken ten times larger
    while nothing is found.
    ``num_searches · T`` gradients and as many forward passes as searches. There is no
    early end: the published one looks at the sum over a batch, so that results would
    depend on the neighbours of an image.

    Args:
      num_searches: values of c.
      num_steps: T, for each.
      step_size: of Adam, in the variable of the tanh.
      initial_weight: the first c.
      confidence: κ, in logits.

    Raises:
      ValueError: a count below 1, a number below 0.

    References:
      Carlini, Wagner. Towards Evaluating the Robustness of Neural Networks. S&P 2017,
      arXiv:1608.04644.
    """
    num_searches = check_integer("num_searches", num_searches)
    num_steps = check_integer("num_steps", num_steps)
    step_size = check_number("step_size", step_size, 0.0)
    initial_weight = check_number("initial_weight", initial_weight, 0.0)
    confidence = check_number("confidence", confidence, 0.0)

    def find(task: BoundaryTask) -> Best:
        middle = (task.bounds[1] + task.bounds[0]) / 2
        half = (task.bounds[1] - task.bounds[0]) / 2
        image_of = lambda w: middle + half * jnp.tanh(w)
        start = jnp.arctanh(_INSIDE * (task.images - middle) / half)
        center = image_of(start)
        evaluate = evaluator(task, scores.margin)

        def attempt(weight: Array) -> Best:
            def gradient_fn(_: object, w: Array) -> Evaluated:
                points = image_of(w)
                evaluated = evaluate(points)
                is_short = (evaluated.values + confidence > 0).astype(w.dtype)
                pull = (weight * is_short)[:, None, None, None] * evaluated.gradient
                slope = half * (1 - jnp.tanh(w) ** 2)
                return evaluated._replace(
                    gradient=slope * (2 * (points - center) + pull)
                )

            path = adversarial_path(
                gradient_fn,
                direction=follow_gradient(),
                move=adam(-step_size),
                project=lambda w: w,
            )
            return closest_on(path, task, start, num_steps, image_of=image_of)

        def one(
            carry: tuple[Best, _Weights], _: None
        ) -> tuple[tuple[Best, _Weights], None]:
            best, weights = carry
            found = attempt(weights.value)
            halved = _bisected(weights, found.distances < jnp.inf)
            return (nearer(best, found), halved), None

        zeros = jnp.zeros_like(task.images[:, 0, 0, 0])
        weights = _Weights(zeros, zeros + jnp.inf, zeros + initial_weight)
        carry = (nothing_found(task), weights)
        return jax.lax.scan(one, carry, length=num_searches)[0][0]

    passes = num_searches * num_steps
    return Member("carlini_wagner", find, passes + num_searches, passes)


def _bisected(weights: _Weights, is_found: Array) -> _Weights:
    low = jnp.where(is_found, weights.low, weights.value)
    high = jnp.where(is_found, weights.value, weights.high)
    is_open = high == jnp.inf
    between = (low + jnp.where(is_open, low, high)) / 2
    return _Weights(low, high, jnp.where(is_open, 10 * weights.value, between))
