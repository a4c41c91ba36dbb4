"""What the members of a boundary search share: the closest point so far, its loops.

A member is a path through image space (or several, one a radius). Every point that it
visits is classified by the very forward pass that its gradient needs, and the closest
one of another class is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxattr import _random, projections, scores
from jaxattr._checks import check_number, fail
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.paths import Path, PathInfo, fold_path
from jaxattr.steps import unit
from jaxattr.typing import Array, Bounds, LogitsFn, Projection, Scalar, Score

NORMS = ("l1", "l2", "linf")
Tree = TypeVar("Tree")
"""A pytree of arrays."""


class BoundaryTask(NamedTuple):
    """What a member is asked to do: to leave a class by as short a way as it can."""

    logits_fn: LogitsFn
    """A constant to differentiation, but for its argument."""
    images: Array
    """``(N, H, W, C)``."""
    source_classes: Array
    """``(N,)``: the classes to leave."""
    keys: Array | None
    """``(N,)``: the same for every member, so each draws as it would alone."""
    bounds: Bounds
    """The least and the largest pixel value, numbers or ``(1, 1, 1, C)``."""
    norm: str
    """How distances are measured: one of ``NORMS``."""


class Best(NamedTuple):
    """The closest point of another class so far."""

    points: Array
    """``(N, H, W, C)``: the image itself where there is none."""
    distances: Array
    """``(N,)``: infinity where there is none."""
    classes: Array
    """``(N,)``: what the model takes the points for."""


class Evaluated(NamedTuple):
    """A score at points, its gradient, and their classes: one pass each way."""

    gradient: Array
    """``(N, H, W, C)``: of the score."""
    values: Array
    """``(N,)``: the score."""
    classes: Array
    """``(N,)``: what the model takes the points for."""


class Member(NamedTuple):
    """One way to look for the boundary, and what it costs."""

    name: str
    find: Callable[[BoundaryTask], Best]
    forwards: int | None
    """The most forward passes of an image; None where it is not known."""
    backwards: int | None
    """The most backward passes of an image."""
    needs_key: bool = False
    """Draws at random."""


def distance(offsets: Array, norm: str) -> Array:
    """``‖offset‖`` of each image, ``(N,)``."""
    axes = (1, 2, 3)
    if norm == "l1":
        return jnp.sum(jnp.abs(offsets), axes)
    if norm == "linf":
        return jnp.max(jnp.abs(offsets), axes)
    return norms.norm(offsets, axes)


def where_images(mask: Array, chosen: Tree, other: Tree) -> Tree:
    """Image by image, of two pytrees of arrays ``(N, ...)``."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, chosen, other)


def nothing_found(task: BoundaryTask) -> Best:
    """The images themselves, infinitely far."""
    distances = jnp.full_like(task.images[:, 0, 0, 0], jnp.inf)
    return Best(task.images, distances, task.source_classes)


def nearer(best: Best, found: Best) -> Best:
    """The closer of two, image by image; the first of equals."""
    return where_images(found.distances < best.distances, found, best)


def as_found(task: BoundaryTask, points: Array, classes: Array) -> Best:
    """Points of these classes, infinitely far where that is the class to leave."""
    distances = distance(points - task.images, task.norm)
    is_other = classes != task.source_classes
    found = Best(points, jnp.where(is_other, distances, jnp.inf), classes)
    return where_images(is_other, found, nothing_found(task))


def predicted(task: BoundaryTask, points: Array) -> Array:
    """The classes of points, ``(N,)``."""
    return other_class(task, task.logits_fn(points))


def other_class(task: BoundaryTask, logits: Array) -> Array:
    """The classes that logits give, the one to leave where they name no other.

    That is where one of them is NaN, and where the one to leave is no class.
    """
    is_other = scores.misclassified(logits, task.source_classes)
    return jnp.where(is_other, jnp.argmax(logits, axis=-1), task.source_classes)


def evaluator(task: BoundaryTask, score: Score) -> Callable[[Array], Evaluated]:
    """A function of points: the score of the class to leave there, and what follows."""

    def total(points: Array) -> tuple[Array, tuple[Array, Array]]:
        logits = widen(task.logits_fn(points))
        values = score(lambda logits: logits, task.source_classes)(logits)
        return jnp.sum(values), (values, other_class(task, logits))

    def evaluate(points: Array) -> Evaluated:
        gradient, (values, classes) = jax.grad(total, has_aux=True)(points)
        return Evaluated(gradient, values, classes)

    return evaluate


def follow_gradient() -> optax.GradientTransformation:
    """The direction of a path that is driven by an ``evaluator``: its gradient."""
    return optax.stateless(lambda evaluated, _: evaluated.gradient)


def closest_on(
    path: Path[Evaluated],
    task: BoundaryTask,
    start: Array,
    num_steps: int,
    keys: Array | None = None,
    *,
    image_of: Callable[[Array], Array] = lambda points: points,
    last_only: bool = False,
) -> Best:
    """The closest point of another class among the T + 1 that a path visits.

    Args:
      path: a kernel whose steps are driven by an ``evaluator``.
      task: what is asked for.
      start: where the path begins.
      num_steps: T gradients; the last point costs one forward pass more.
      keys: ``(N,)``, for a path that draws.
      image_of: from the path's variable to an image.
      last_only: only the last point counts.
    """

    def add(best: Best, info: PathInfo[Evaluated]) -> Best:
        points = image_of(info.points)
        return nearer(best, as_found(task, points, info.gradient.classes))

    nothing = nothing_found(task)
    keep = (lambda best, _: best) if last_only else add
    state, best = fold_path(path, start, keys, num_steps, nothing, keep)
    points = image_of(state.points)
    return nearer(best, as_found(task, points, predicted(task, points)))


def over_radii(
    task: BoundaryTask,
    radii: Sequence[float],
    attempt: Callable[[Array, Array | None, Array], Best],
) -> Best:
    """What the first radius finds that finds anything, image by image.

    One scan, so memory does not depend on the number of radii. Images that are done
    stand still, and when all are, the radii that are left cost nothing.

    Args:
      task: what is asked for.
      radii: in ascending order.
      attempt: takes a radius, keys ``(N,)``, and which images are done ``(N,)``.
    """
    values = jnp.asarray(radii, task.images.dtype)

    def one(best: Best, index: Array) -> tuple[Best, None]:
        is_done = best.distances < jnp.inf

        def try_it() -> Best:
            keys = task.keys
            keys = None if keys is None else _random.fold_in(keys, index)
            found = attempt(values[index], keys, is_done)
            return where_images(is_done, best, found)

        return jax.lax.cond(jnp.all(is_done), lambda: best, try_it), None

    return jax.lax.scan(one, nothing_found(task), jnp.arange(len(radii)))[0]


def ball_and_box(task: BoundaryTask, radius: Scalar, norm: str) -> Projection:
    """Onto the ball around the images, then onto the bounds."""
    ball = {"l2": projections.l2_ball, "linf": projections.linf_ball}[norm]
    return lambda points: projections.box(
        ball(points, task.images, radius), task.bounds
    )


def random_direction(keys: Array, images: Array, norm: str) -> Array:
    """Uniform on the unit sphere for ``l2``, in the unit cube for ``linf``."""
    shape, dtype = images.shape[1:], images.dtype
    if norm == "linf":
        return _random.uniform(keys, shape, dtype, -1.0, 1.0)
    return unit(_random.normal(keys, shape, dtype))


def check_radii(radii: Sequence[float]) -> tuple[float, ...]:
    """Finite numbers above zero in ascending order, at least one."""
    expected = "finite numbers above zero in ascending order, at least one"
    try:
        given = tuple(radii)
    except TypeError:
        raise fail("radii", expected, radii) from None
    # Texts and truth values would pass for numbers.
    is_number = not any(isinstance(r, str | bool | np.bool_) for r in given)
    if not is_number:
        raise fail("radii", expected, radii)
    values = tuple(check_number("radii", r, 0.0) for r in given)
    rises = all(a < b for a, b in itertools.pairwise(values))
    if not values or not rises or values[0] == 0 or values[-1] == math.inf:
        raise fail("radii", expected, radii)
    return values
