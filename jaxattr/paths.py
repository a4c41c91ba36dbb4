"""Paths through image space, and the integral along one.

A path is a kernel, ``init(images) -> state`` and ``step(keys, state) -> (state, info)``;
the integral is one scan over its steps, so memory does not grow with their number. A
straight line, whose points are known beforehand, needs no state: ``integrate_line``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxattr import _random
from jaxattr._loops import sum_over
from jaxattr.gradients import gradient
from jaxattr.quadrature import Rule
from jaxattr.typing import Array, GradientFn, Projection, ScoreFn


class PathState(NamedTuple):
    """Where a path is, and what its rules remember."""

    points: Array
    """``(N, H, W, C)``."""
    rules: Any
    """The state of the step rules."""


class PathInfo(NamedTuple):
    """What a step did."""

    gradient: Any
    """The raw gradient that drove it."""
    direction: Array
    """``(N, H, W, C)``: what the direction rule made of it."""
    displacement: Array
    """``(N, H, W, C)``: the new points minus the old, after projection."""


class Path(NamedTuple):
    """A kernel that moves a batch of points through image space."""

    init: Callable[[Array], PathState]
    step: Callable[[Array, PathState], tuple[PathState, PathInfo]]


def adversarial_path(
    gradient_fn: GradientFn,
    *,
    direction: optax.GradientTransformation,
    move: optax.GradientTransformation,
    project: Projection,
) -> Path:
    """``x ← Π(x + move(direction(∇)))``: every iterative attack with a gradient.

    Args:
      gradient_fn: ``(keys, points)`` to the gradient that drives the step.
      direction: from the gradient to the direction followed (smoothing, normalisation,
        momentum).
      move: from the direction to the displacement (a sign step and its signed size).
      project: points to feasible points.
    """

    def init(images: Array) -> PathState:
        return PathState(images, (direction.init(images), move.init(images)))

    def step(keys: Array, state: PathState) -> tuple[PathState, PathInfo]:
        points, (direction_state, move_state) = state
        raw = gradient_fn(keys, points)
        followed, direction_state = direction.update(raw, direction_state)
        update, move_state = move.update(followed, move_state)
        moved = project(points + update)
        info = PathInfo(raw, followed, moved - points)
        return PathState(moved, (direction_state, move_state)), info

    return Path(init, step)


def integrate_path(
    path: Path,
    images: Array,
    keys: Array | None,
    *,
    num_steps: int,
    integrand: Callable[[PathInfo], Array],
) -> Array:
    """``Σₜ h(infoₜ) ⊙ (xₜ₊₁ - xₜ)``, the path integral of the integrand ``h``.

    Args:
      path: the kernel.
      images: ``(N, H, W, C)``, where it starts.
      keys: ``(N,)``, or None for a path that draws nothing; step t gets them folded
        with t.
      num_steps: T.
      integrand: a step's info to ``(N, H, W, C)``.
    """

    def step(carry: tuple[PathState, Array], t: Array) -> tuple[Any, None]:
        state, total = carry
        step_keys = None if keys is None else _random.fold_in(keys, t)
        state, info = path.step(step_keys, state)
        return (state, total + integrand(info) * info.displacement), None

    start = (path.init(images), jnp.zeros_like(images))
    (_, total), _ = jax.lax.scan(step, start, jnp.arange(num_steps))
    return total


def integrate_line(
    score_fn: ScoreFn, start: Array, end: Array, rule: Rule, *, steps_per_call: int = 1
) -> Array:
    """``Σₖ wₖ ∇ score(start + αₖ (end - start))``: the mean gradient on a line.

    Args:
      score_fn: points ``(..., H, W, C)`` to ``(...)``.
      start: ``(N, H, W, C)``.
      end: ``(N, H, W, C)``.
      rule: nodes α ``(T,)`` and weights w ``(T,)``.
      steps_per_call: how many nodes share a model call.
    """
    nodes = jnp.asarray(rule.nodes, start.dtype)
    weights = jnp.asarray(rule.weights, start.dtype)

    def terms(index: Array) -> Array:
        alpha, weight = (v[index][:, None, None, None, None] for v in (nodes, weights))
        points = start[None] + alpha * (end - start)[None]
        return weight * gradient(score_fn, points)

    return sum_over(terms, len(rule.nodes), steps_per_call)
