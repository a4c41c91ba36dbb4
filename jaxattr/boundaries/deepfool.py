"""DeepFool as a member of a boundary search."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxattr import projections, scores
from jaxattr._checks import check_choice, check_integer, check_number
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.boundaries.member import (
    NORMS,
    Best,
    BoundaryTask,
    Evaluated,
    Member,
    closest_on,
    distance,
    other_class,
    where_images,
)
from jaxattr.paths import Path, PathInfo, PathState
from jaxattr.typing import Array


def deepfool(
    *,
    num_steps: int = 10,
    num_candidates: int = 10,
    overshoot: float = 0.02,
    norm: str = "l2",
) -> Member:
    """DeepFool: step after step onto the nearest boundary of the linearised model.

    ``r ← r + (|f_k| / ‖w_k‖_q^q) |w_k|^{q-1} sign(w_k)`` and ``x = x⁰ + (1 + η) r``, with
    ``f_k = z_k - z_y`` and ``w_k = ∇f_k`` of the class k with the least
    ``|f_k| / ‖w_k‖_q``, q dual to the norm. An image of another class moves no more. On
    a linear model the first step is exact but for η. At most T forward passes with a
    backward pass for every candidate, and two forward passes: once every image of a
    call is of another class, the steps that are left cost nothing.

    A step is longer by what rounding may take of it, twice the spacing of floats near
    the largest pixel in each that moves: from a point on the boundary it would have no
    length. The released code adds 1e-4, which is that much on ImageNet in float32. So
    nothing here depends on the unit of the logits, nor on that of the pixels.

    Args:
      num_steps: T.
      num_candidates: classes k, the highest at the image but its own.
      overshoot: η.
      norm: ``l1``, ``l2`` or ``linf``.

    Raises:
      ValueError: a count below 1, an unknown norm.

    References:
      Moosavi-Dezfooli, Fawzi, Frossard. DeepFool: a simple and accurate method to fool
      deep neural networks. CVPR 2016, arXiv:1511.04599.
    """
    num_steps = check_integer("num_steps", num_steps)
    num_candidates = check_integer("num_candidates", num_candidates)
    overshoot = check_number("overshoot", overshoot, 0.0)
    check_choice("norm", norm, NORMS)

    def find(task: BoundaryTask) -> Best:
        candidates = _candidates(task, num_candidates)

        def init(points: Array) -> PathState:
            total = jnp.zeros_like(points)
            is_active = jnp.ones_like(points[:, 0, 0, 0], bool)
            return PathState(points, total, total, is_active)

        def move(state: PathState) -> tuple[PathState, PathInfo[Evaluated]]:
            points, _, total, active = state
            assert active is not None
            evaluated, active = _nearest_linearised(
                task, points, candidates, norm, active
            )
            update = _onto_hyperplane(points, evaluated, norm)
            total = where_images(active, total + update, total)
            ahead = task.images + (1 + overshoot) * total
            moved = projections.box(ahead, task.bounds)
            moved = where_images(active, moved, points)
            info = PathInfo(points, evaluated, update, moved - points)
            return PathState(moved, update, total, active), info

        def stand(state: PathState) -> tuple[PathState, PathInfo[Evaluated]]:
            still = jnp.zeros_like(state.points)
            # The class to leave: points of another class have been kept already.
            evaluated = Evaluated(
                still, jnp.zeros_like(still[:, 0, 0, 0]), task.source_classes
            )
            info = PathInfo(state.points, evaluated, still, still)
            return state._replace(direction=still), info

        def step(_: object, state: PathState) -> tuple[PathState, PathInfo[Evaluated]]:
            assert state.active is not None
            return jax.lax.cond(jnp.any(state.active), move, stand, state)

        return closest_on(Path(init, step), task, task.images, num_steps)

    return Member("deepfool", find, num_steps + 2, num_steps * num_candidates)


_Nearest = tuple[Array, Array, Array]
"""Gap over size of the gradient, ``(N,)``, gap ``(N,)`` and gradient ``(N, H, W, C)``."""


def _candidates(task: BoundaryTask, most: int) -> Array:
    """The highest classes but the one to leave, ``(M, N)``."""
    logits = widen(task.logits_fn(task.images))
    is_own = jnp.arange(logits.shape[-1])[None, :] == task.source_classes[:, None]
    others = jnp.where(is_own, -jnp.inf, logits)
    order = jnp.argsort(-others, axis=-1)
    return order[:, : min(most, logits.shape[-1] - 1)].T


def _nearest_linearised(
    task: BoundaryTask, points: Array, candidates: Array, norm: str, active: Array
) -> tuple[Evaluated, Array]:
    """The gap ``|f_k|`` and the gradient ``w_k`` of the class that is nearest.

    One candidate at a time: memory does not depend on how many there are. No candidate
    at all where the forward pass says that every image is of another class.

    Returns:
      The points evaluated, and which of the active are still of the class to leave.
    """
    logits, pull = jax.vjp(lambda x: task.logits_fn(x), points)
    labels = other_class(task, logits)
    active &= labels == task.source_classes
    values = widen(logits)
    classes = jnp.arange(logits.shape[-1])[None, :]
    is_own = classes == task.source_classes[:, None]

    def gap_and_gradient(candidate: Array) -> tuple[Array, Array]:
        is_candidate = classes == candidate[:, None]
        ahead = is_candidate.astype(logits.dtype) - is_own.astype(logits.dtype)
        # Not a sum of products: a class that is masked has a logit of minus infinity.
        other, own = (
            scores.select(values, y) for y in (candidate, task.source_classes)
        )
        return jnp.abs(other - own).astype(points.dtype), pull(ahead)[0]

    def nearer(carry: _Nearest, candidate: Array) -> tuple[_Nearest, None]:
        gap, gradient = gap_and_gradient(candidate)
        size = _dual_size(gradient, norm)
        ratio = jnp.where(size == 0, jnp.inf, gap / jnp.where(size == 0, 1, size))
        found = (ratio, gap, gradient)
        return where_images(ratio < carry[0], found, carry), None

    zeros = jnp.zeros_like(points[:, 0, 0, 0])
    carry = (zeros + jnp.inf, zeros, jnp.zeros_like(points))
    _, gap, gradient = jax.lax.cond(
        jnp.any(active),
        lambda: jax.lax.scan(nearer, carry, candidates)[0],
        lambda: carry,
    )
    return Evaluated(gradient, gap, labels), active


def _dual_size(gradient: Array, norm: str) -> Array:
    """``‖w‖_q``, q dual to the norm, ``(N,)``."""
    return distance(gradient, {"l1": "linf", "l2": "l2", "linf": "l1"}[norm])


def _onto_hyperplane(points: Array, evaluated: Evaluated, norm: str) -> Array:
    """The shortest offset along which a linear function grows by its gap."""
    gap, gradient = evaluated.values[:, None, None, None], evaluated.gradient
    size = _dual_size(gradient, norm)[:, None, None, None]
    is_flat = size == 0
    length = gap / jnp.where(is_flat, 1, size) + _rounding(points, norm)
    length = jnp.where(is_flat, 0, length)
    if norm == "linf":
        return length * jnp.sign(gradient)
    if norm == "l2":
        return length * gradient / jnp.where(is_flat, 1, size)
    # The steepest value alone; of equal ones the first.
    flat = jnp.abs(gradient).reshape(gradient.shape[0], -1)
    place = jnp.arange(flat.shape[1])[None, :] == jnp.argmax(flat, axis=1)[:, None]
    return (
        length
        * jnp.sign(gradient)
        * place.reshape(gradient.shape).astype(gradient.dtype)
    )


def _rounding(points: Array, norm: str) -> Array:
    """How long an offset is that moves pixels by more than rounding, ``(N, 1, 1, 1)``."""
    spacing = jnp.finfo(points.dtype).eps * norms.scale_of(points, (1, 2, 3))
    moved = math.prod(points.shape[1:]) if norm == "l2" else 1
    return 2 * math.sqrt(moved) * spacing
