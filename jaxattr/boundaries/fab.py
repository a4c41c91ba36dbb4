"""The fast adaptive boundary attack as a member of a boundary search."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import projections, scores
from jaxattr._checks import check_integer, check_number
from jaxattr._numerics import norms
from jaxattr.boundaries.member import (
    Best,
    BoundaryTask,
    Evaluated,
    Member,
    closest_on,
    evaluator,
    where_images,
)
from jaxattr.paths import Path, PathInfo, PathState
from jaxattr.typing import Array, Bounds

_NEWTON_STEPS = 12


def fab(
    *,
    num_steps: int = 50,
    overshoot: float = 0.05,
    most_bias: float = 0.1,
    backward: float = 0.9,
) -> Member:
    """Fast adaptive boundary: projections onto the linearised boundary, near the image.

    With p and p⁰ the projections of the point and of the image onto the hyperplane
    ``f(x) + ⟨∇f, z - x⟩ = 0`` within the bounds, f the margin of the class::

        same class     x ← (1 - α)(x + η (p - x)) + α (x⁰ + η (p⁰ - x⁰))
        another class  x ← x⁰ + β (x - x⁰)

    ``α = min(d / (d + d⁰), α_max)`` of the two lengths. Untargeted as published, with the
    runner-up class of each point in place of a gradient a class. T gradients and one
    forward pass.

    Args:
      num_steps: T, steps ahead and back together.
      overshoot: ``η - 1``.
      most_bias: α_max.
      backward: β.

    Raises:
      ValueError: ``num_steps < 1``, a number out of range.

    References:
      Croce, Hein. Minimally distorted Adversarial Examples with a Fast Adaptive
      Boundary Attack. ICML 2020, arXiv:1907.02044.
    """
    num_steps = check_integer("num_steps", num_steps)
    eta = 1 + check_number("overshoot", overshoot, 0.0)
    most_bias = check_number("most_bias", most_bias, 0.0, 1.0)
    backward = check_number("backward", backward, 0.0, 1.0)

    def find(task: BoundaryTask) -> Best:
        evaluate = evaluator(task, scores.margin)
        origin = task.images

        def init(points: Array) -> PathState:
            return PathState(points, jnp.zeros_like(points), (), None)

        def step(_: object, state: PathState) -> tuple[PathState, PathInfo[Evaluated]]:
            points = state.points
            evaluated = evaluate(points)
            onto = lambda start: _onto_boundary(
                start, points, evaluated.values, evaluated.gradient, task.bounds
            )
            own, first = onto(points), onto(origin)
            length, first_length = (
                norms.norm(d, (1, 2, 3), keepdims=True) for d in (own, first)
            )
            both = length + first_length
            bias = jnp.where(both > 0, length / jnp.where(both > 0, both, 1), 0)
            bias = jnp.minimum(bias, most_bias)
            ahead = (1 - bias) * (points + eta * own) + bias * (origin + eta * first)
            back = origin + backward * (points - origin)
            moved = where_images(evaluated.classes != task.source_classes, back, ahead)
            moved = projections.box(moved, task.bounds)
            info = PathInfo(points, evaluated, own, moved - points)
            return PathState(moved, own, (), None), info

        return closest_on(Path(init, step), task, origin, num_steps)

    return Member("fab", find, num_steps + 1, num_steps)


def _onto_boundary(
    start: Array, points: Array, values: Array, gradient: Array, bounds: Bounds
) -> Array:
    """The offset from ``start`` to the nearest point in the box where f, linear, is 0.

    The point is ``clip(start - λ w)``; λ by Newton's method on a function that is
    linear between the values at which a pixel meets a bound.
    """
    axes = (1, 2, 3)
    # The plane is the same whatever the unit of f.
    scale = norms.scale_of(gradient, axes)
    gradient, values = gradient / scale, values[:, None, None, None] / scale
    at = lambda shift: projections.box(start - shift * gradient, bounds)

    def newton(_: Array, shift: Array) -> Array:
        place = at(shift)
        rest = values + jnp.sum(gradient * (place - points), axes, keepdims=True)
        is_free = place == start - shift * gradient
        slope = jnp.sum(jnp.where(is_free, gradient**2, 0), axes, keepdims=True)
        return shift + jnp.where(slope > 0, rest / jnp.where(slope > 0, slope, 1), 0)

    shift = jax.lax.fori_loop(
        0, _NEWTON_STEPS, newton, jnp.zeros_like(start[:, :1, :1, :1])
    )
    return at(shift) - start
