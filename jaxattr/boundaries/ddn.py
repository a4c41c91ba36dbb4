"""Decoupled direction and norm as a member of a boundary search."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxattr import projections, scores
from jaxattr._checks import check_integer, check_number
from jaxattr.boundaries.member import (
    Best,
    BoundaryTask,
    Evaluated,
    Member,
    closest_on,
    evaluator,
)
from jaxattr.paths import Path, PathInfo, PathState
from jaxattr.steps import unit
from jaxattr.typing import Array


def ddn(
    *,
    num_steps: int = 100,
    initial_radius: float = 1.0,
    step_size: float = 1.0,
    gamma: float = 0.05,
) -> Member:
    """Decoupled direction and norm: the radius shrinks behind the boundary.

    ``δ ← δ + α ∇ℓ / ‖∇ℓ‖₂``, then ``δ ← ε δ / ‖δ‖₂``, where ``ε ← (1 - γ) ε`` from a point
    of another class and ``(1 + γ) ε`` from one of the same; α falls from ``step_size`` to
    a hundredth of it along a cosine. T gradients and one forward pass.

    Args:
      num_steps: T.
      initial_radius: the first ε, in the units of the search.
      step_size: the first α.
      gamma: γ.

    Raises:
      ValueError: ``num_steps < 1``, a number out of range.

    References:
      Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger. Decoupling Direction and
      Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses. CVPR 2019,
      arXiv:1811.09600.
    """
    num_steps = check_integer("num_steps", num_steps)
    initial_radius = check_number("initial_radius", initial_radius, 0.0)
    step_size = check_number("step_size", step_size, 0.0)
    gamma = check_number("gamma", gamma, 0.0, 1.0)
    fall = (1 + np.cos(np.pi * np.arange(num_steps) / num_steps)) / 2
    step_sizes = step_size * (0.01 + 0.99 * fall)

    def find(task: BoundaryTask) -> Best:
        evaluate = evaluator(task, scores.cross_entropy)
        sizes = jnp.asarray(step_sizes, task.images.dtype)

        def init(points: Array) -> PathState:
            radius = jnp.full_like(points[:, :1, :1, :1], initial_radius)
            rules = (radius, jnp.zeros((), int))
            return PathState(points, jnp.zeros_like(points), rules, None)

        def step(_: object, state: PathState) -> tuple[PathState, PathInfo[Evaluated]]:
            points, _, (radius, t), _ = state
            evaluated = evaluate(points)
            is_other = (evaluated.classes != task.source_classes)[:, None, None, None]
            radius = radius * jnp.where(is_other, 1 - gamma, 1 + gamma)
            direction = unit(evaluated.gradient)
            offset = points - task.images + sizes[t] * direction
            moved = task.images + radius * unit(offset)
            moved = projections.box(moved, task.bounds)
            info = PathInfo(points, evaluated, direction, moved - points)
            return PathState(moved, direction, (radius, t + 1), None), info

        return closest_on(Path(init, step), task, task.images, num_steps)

    return Member("ddn", find, num_steps + 1, num_steps)
