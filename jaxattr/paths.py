"""Paths through image space, and the integral along one.

A path is a kernel, ``init(images) -> state`` and ``step(keys, state) -> (state, info)``;
the integral is one scan over its steps, so memory does not grow with their number. A
straight line, whose points are known beforehand, needs no state: ``integrate_line``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from jaxattr import _random
from jaxattr._loops import sum_over
from jaxattr._numerics.quadrature import Rule
from jaxattr.gradients import gradient
from jaxattr.typing import Array, Projection, Scalar, ScoreFn

Gradient = TypeVar("Gradient", covariant=True)
"""What drives a step: an array, or a pytree of arrays for rules that take one."""
Total = TypeVar("Total")
"""What is gathered along a path: a pytree of arrays, or None."""


class PathState(NamedTuple):
    """Where a path is, and what its rules remember."""

    points: Array
    """``(N, H, W, C)``."""
    direction: Array
    """``(N, H, W, C)``: what was followed last, zero before the first step."""
    rules: Any
    """The state of the step rules."""
    active: Array | None
    """``(N,)`` bool: which still move; None for a path that never stops."""


class PathInfo(NamedTuple, Generic[Gradient]):
    """What a step did."""

    points: Array
    """``(N, H, W, C)``: where it began."""
    gradient: Gradient
    """The raw gradient that drove it."""
    direction: Array
    """``(N, H, W, C)``: what the direction rule made of it."""
    displacement: Array
    """``(N, H, W, C)``: the new points minus where the move started, projected."""


class Path(NamedTuple, Generic[Gradient]):
    """A kernel that moves a batch of points through image space."""

    init: Callable[[Array], PathState]
    step: Callable[[Any, PathState], tuple[PathState, PathInfo[Gradient]]]


def adversarial_path(
    gradient_fn: Callable[[Any, Array], Gradient],
    *,
    direction: optax.GradientTransformation,
    move: optax.GradientTransformation,
    project: Projection,
    look_ahead: Scalar | None = None,
    origin: Array | None = None,
    stop: Callable[[Array], Array] | None = None,
) -> Path[Gradient]:
    """``x ← Π(x + move(direction(∇)))``: every iterative attack with a gradient.

    Args:
      gradient_fn: ``(keys, points)`` to the gradient that drives the step.
      direction: from the gradient to the direction followed (combination, smoothing,
        normalisation, momentum).
      move: from the direction to the displacement (a sign step and its signed size).
      project: points to feasible points.
      look_ahead: times the last direction, added to the point the gradient is taken at
        (Nesterov).
      origin: ``(N, H, W, C)``; every move starts here instead of at the current point,
        which then only says where the gradient is taken.
      stop: points to ``(N,)`` bool; images where it holds move no more.
    """

    def init(images: Array) -> PathState:
        active = None if stop is None else jnp.ones_like(images[:, 0, 0, 0], bool)
        rules = (direction.init(images), move.init(images))
        return PathState(images, jnp.zeros_like(images), rules, active)

    def step(keys: object, state: PathState) -> tuple[PathState, PathInfo[Gradient]]:
        points, last, (direction_state, move_state), active = state
        at = points if look_ahead is None else points + look_ahead * last
        raw = gradient_fn(keys, at)
        followed, direction_state = direction.update(raw, direction_state)
        update, move_state = move.update(followed, move_state)
        base = points if origin is None else origin
        moved = project(base + update)
        displacement = moved - base
        if stop is not None and active is not None:
            active &= ~stop(points)
            moves = active[:, None, None, None]
            moved = jnp.where(moves, moved, points)
            displacement = jnp.where(moves, displacement, 0)
        rules = (direction_state, move_state)
        info = PathInfo(points, raw, followed, displacement)
        return PathState(moved, followed, rules, active), info

    return Path(init, step)


def integrate_path(
    path: Path[Gradient],
    images: Array,
    keys: Array | None,
    *,
    num_steps: int,
    integrand: Callable[[PathInfo[Gradient]], Array],
) -> Array:
    """``Σₜ h(infoₜ) ⊙ Δₜ``, the path integral of the integrand ``h``.

    Args:
      path: the kernel.
      images: ``(N, H, W, C)``, where it starts.
      keys: ``(N,)``, or None for a path that draws nothing; step t gets them folded
        with t.
      num_steps: T.
      integrand: a step's info to ``(N, H, W, C)``.
    """

    def add(total: Array, info: PathInfo[Gradient]) -> Array:
        return total + integrand(info) * info.displacement

    return fold_path(path, images, keys, num_steps, jnp.zeros_like(images), add)[1]


def follow_path(
    path: Path[object], images: Array, keys: Array | None, *, num_steps: int
) -> Array:
    """``(N, H, W, C)``: where a path that starts at ``images`` is after T steps."""
    state, _ = fold_path(path, images, keys, num_steps, None, lambda total, _: total)
    return state.points


def fold_path(
    path: Path[Gradient],
    images: Array,
    keys: Array | None,
    num_steps: int,
    total: Total,
    add: Callable[[Total, PathInfo[Gradient]], Total],
    *,
    given: Callable[[Array | None, Array], object] = lambda keys, t: keys,
) -> tuple[PathState, Total]:
    """The state after T steps, and what ``add`` made of ``total`` on the way.

    ``given`` makes what a step gets, by default its keys, from them and from its number.
    """

    def step(
        carry: tuple[PathState, Total], t: Array
    ) -> tuple[tuple[PathState, Total], None]:
        state, total = carry
        step_keys = None if keys is None else _random.fold_in(keys, t)
        state, info = path.step(given(step_keys, t), state)
        return (state, add(total, info)), None

    carry = (path.init(images), total)
    return jax.lax.scan(step, carry, jnp.arange(num_steps))[0]


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

    def line(index: Array) -> tuple[Array, Array]:
        alpha, weight = (v[index][:, None, None, None, None] for v in (nodes, weights))
        return start[None] + alpha * (end - start)[None], weight

    return integrate_curve(
        score_fn, line, len(rule.nodes), steps_per_call=steps_per_call
    )


def integrate_curve(
    score_fn: ScoreFn,
    curve: Callable[[Array], tuple[Array, Array]],
    num_steps: int,
    *,
    steps_per_call: int = 1,
) -> Array:
    """``Σₖ vₖ ⊙ ∇ score(xₖ)`` over points that are known beforehand.

    Args:
      score_fn: points ``(..., H, W, C)`` to ``(...)``.
      curve: indices ``(S,)`` to points x ``(S, N, H, W, C)`` and what their gradients are
        multiplied by, v, that broadcasts to them.
      num_steps: how many points there are.
      steps_per_call: how many of them share a model call.
    """

    def terms(index: Array) -> Array:
        points, factor = curve(index)
        return factor * gradient(score_fn, points)

    return sum_over(terms, num_steps, steps_per_call)


def sum_of_changes(
    score_fn: ScoreFn,
    curve: Callable[[Array], Array],
    num_steps: int,
    share: Callable[[Array], Array],
    *,
    steps_per_call: int = 1,
) -> Array:
    """``Σₖ (score(xₖ₊₁) - score(xₖ)) share(∇ score(xₖ))``: changes, and who made them.

    Args:
      score_fn: points ``(..., H, W, C)`` to ``(...)``.
      curve: indices ``(S,)``, 0 to T, to points ``(S, N, H, W, C)``.
      num_steps: T.
      share: gradients ``(..., H, W, C)`` to what each value has of a change of one.
      steps_per_call: how many steps share a model call.
    """

    def terms(index: Array) -> Array:
        values, pullback = jax.vjp(score_fn, curve(index))
        (slope,) = pullback(jnp.ones_like(values))
        change = score_fn(curve(index + 1)) - values
        return change[..., None, None, None] * share(slope)

    return sum_over(terms, num_steps, steps_per_call)
