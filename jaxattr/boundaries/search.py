"""What the members of a boundary search share: the closest point so far, its loops.

A member is a path through image space (or several, one a radius). Every point that it
visits is judged by the very forward pass that its gradient needs, and the closest one
of another class is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxattr import _norms, _random, projections, scores
from jaxattr._checks import check_number, fail
from jaxattr._dtypes import widen
from jaxattr.paths import Path, PathInfo, fold_path
from jaxattr.steps import unit
from jaxattr.typing import Array, LogitsFn, Projection, Score

NORMS = ("l1", "l2", "linf")


class Search(NamedTuple):
    """What a member is asked to do."""

    logits_fn: LogitsFn
    """A constant to differentiation, but for its argument."""
    images: Array
    """``(N, H, W, C)``."""
    labels: Array
    """``(N,)``: the class to leave."""
    keys: Array | None
    """``(N,)``: the same for every member, so each draws as it would alone."""
    bounds: tuple[Any, Any]
    """The least and the largest pixel value, numbers or ``(1, 1, 1, C)``."""
    norm: str
    """How distances are measured: one of ``NORMS``."""


class Best(NamedTuple):
    """The closest point of another class so far."""

    points: Array
    """``(N, H, W, C)``: the image itself where there is none."""
    distances: Array
    """``(N,)``: infinity where there is none."""
    labels: Array
    """``(N,)``: the class that the model gives to the point."""


class Judged(NamedTuple):
    """What one forward and one backward pass tell of points."""

    gradient: Array
    """``(N, H, W, C)``: of the score."""
    values: Array
    """``(N,)``: the score."""
    labels: Array
    """``(N,)``: the class that the model gives."""


class Member(NamedTuple):
    """One way to look for the boundary, and what it costs."""

    name: str
    find: Callable[[Search], Best]
    forwards: int | None
    """The most forward passes of an image; None where nobody said."""
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
    return _norms.norm(offsets, axes)


def where_images(mask: Array, chosen: Any, other: Any) -> Any:
    """Image by image, of two pytrees of arrays ``(N, ...)``."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, chosen, other)


def nothing_found(search: Search) -> Best:
    """The images themselves, infinitely far."""
    distances = jnp.full_like(search.images[:, 0, 0, 0], jnp.inf)
    return Best(search.images, distances, search.labels)


def nearer(best: Best, found: Best) -> Best:
    """The closer of two, image by image; the first of equals."""
    return where_images(found.distances < best.distances, found, best)


def as_found(search: Search, points: Array, labels: Array) -> Best:
    """Points with the classes that they have, infinitely far where it is the old one."""
    distances = distance(points - search.images, search.norm)
    is_other = labels != search.labels
    found = Best(points, jnp.where(is_other, distances, jnp.inf), labels)
    return where_images(is_other, found, nothing_found(search))


def predicted(search: Search, points: Array) -> Array:
    """The classes of points, ``(N,)``."""
    return other_class(search, search.logits_fn(points))


def other_class(search: Search, logits: Array) -> Array:
    """The classes that logits give, the one to leave where they say nothing of another.

    That is where one of them is NaN, and where the one to leave is no class.
    """
    is_other = scores.misclassified(logits, search.labels)
    return jnp.where(is_other, jnp.argmax(logits, axis=-1), search.labels)


def judge(search: Search, score: Score) -> Callable[[Array], Judged]:
    """Points to the gradient of a score of the class to leave, and to their classes."""

    def total(points: Array) -> tuple[Array, tuple[Array, Array]]:
        logits = widen(search.logits_fn(points))
        values = score(lambda logits: logits, search.labels)(logits)
        return jnp.sum(values), (values, other_class(search, logits))

    def judged(points: Array) -> Judged:
        gradient, (values, labels) = jax.grad(total, has_aux=True)(points)
        return Judged(gradient, values, labels)

    return judged


def its_gradient() -> optax.GradientTransformation:
    """The gradient of what ``judge`` tells, for paths driven by it."""
    return optax.stateless(lambda judged, _: judged.gradient)


def closest_on(
    path: Path,
    search: Search,
    start: Array,
    num_steps: int,
    keys: Array | None = None,
    *,
    image_of: Callable[[Array], Array] = lambda points: points,
    last_only: bool = False,
) -> Best:
    """The closest point of another class among the T + 1 that a path visits.

    Args:
      path: a kernel whose steps are driven by ``judge``.
      search: what is asked for.
      start: where the path begins.
      num_steps: T gradients; the last point costs one forward pass more.
      keys: ``(N,)``, for a path that draws.
      image_of: from the path's variable to an image.
      last_only: only the last point counts.
    """

    def add(best: Best, info: PathInfo) -> Best:
        points = image_of(info.points)
        return nearer(best, as_found(search, points, info.gradient.labels))

    nothing = nothing_found(search)
    keep = (lambda best, _: best) if last_only else add
    state, best = fold_path(path, start, keys, num_steps, nothing, keep)
    points = image_of(state.points)
    return nearer(best, as_found(search, points, predicted(search, points)))


def over_radii(
    search: Search,
    radii: Sequence[float],
    attempt: Callable[[Array, Array | None, Array], Best],
) -> Best:
    """What the first radius finds that finds anything, image by image.

    One scan, so memory does not depend on the number of radii. Images that are done
    stand still, and when all are, the radii that are left cost nothing.

    Args:
      search: what is asked for.
      radii: in ascending order.
      attempt: takes a radius, keys ``(N,)`` and who is done ``(N,)``.
    """
    values = jnp.asarray(radii, search.images.dtype)

    def one(best: Best, index: Array) -> tuple[Best, None]:
        is_done = best.distances < jnp.inf

        def try_it() -> Best:
            keys = search.keys
            keys = None if keys is None else _random.fold_in(keys, index)
            found = attempt(values[index], keys, is_done)
            return where_images(is_done, best, found)

        return jax.lax.cond(jnp.all(is_done), lambda: best, try_it), None

    return jax.lax.scan(one, nothing_found(search), jnp.arange(len(radii)))[0]


def ball_and_box(search: Search, radius: Any, norm: str) -> Projection:
    """Onto the ball around the images, then onto the bounds."""
    ball = {"l2": projections.l2_ball, "linf": projections.linf_ball}[norm]
    return lambda points: projections.box(
        ball(points, search.images, radius), search.bounds
    )


def random_direction(keys: Array, images: Array, norm: str) -> Array:
    """Uniform on the unit sphere for ``l2``, in the unit cube for ``linf``."""
    shape, dtype = images.shape[1:], images.dtype
    if norm == "linf":
        return _random.uniform(keys, shape, dtype, -1.0, 1.0)
    return unit(_random.normal(keys, shape, dtype))


def check_radii(radii: Any) -> tuple[float, ...]:
    """Finite numbers above zero in ascending order, at least one."""
    expected = "finite numbers above zero in ascending order, at least one"
    try:
        given = tuple(radii)
    except TypeError:
        raise fail("radii", expected, radii) from None
    # Texts and truth values would pass for numbers.
    is_number = not any(isinstance(r, str | bool | np.bool_) for r in given)
    if isinstance(radii, str) or not is_number:
        raise fail("radii", expected, radii)
    values = tuple(check_number("radii", r, 0.0) for r in given)
    rises = all(a < b for a, b in itertools.pairwise(values))
    if not values or not rises or values[0] == 0 or values[-1] == math.inf:
        raise fail("radii", expected, radii)
    return values
