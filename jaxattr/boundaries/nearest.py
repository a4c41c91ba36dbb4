"""The nearest decision boundary: an ensemble of attacks, bisection, a derivative."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_key, check_task, fail
from jaxattr._loops import by_image_batches
from jaxattr.boundaries import implicit
from jaxattr.boundaries.member import (
    Best,
    BoundaryTask,
    as_found,
    distance,
    other_class,
    predicted,
    where_images,
)
from jaxattr.boundaries.search import BoundarySearch, Members, as_search
from jaxattr.typing import Array, LogitsFn


class BoundaryPoint(NamedTuple):
    """The nearest point of another class that was found for each image."""

    points: Array
    """``(N, H, W, C)``: on the boundary; the image itself where none was found."""
    distances: Array
    """``(N,)``: from the image, infinity where none was found."""
    found: Array
    """``(N,)`` bool."""
    labels: Array
    """``(N,)``: the class behind the boundary, the one left where none was found."""
    members: Array
    """``(N,)``: the index of the member that found it in ``BoundarySearch.members``; -1
    for none, and for an image that is misclassified already where ``leave="label"``."""


PointOrSearch: TypeAlias = BoundaryPoint | BoundarySearch | Members
"""A point found before, or how it is to be searched for."""


def nearest_boundary(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    search: BoundarySearch | Members = None,
    batch_size: int | None = None,
) -> BoundaryPoint:
    """The nearest point of another class, by several attacks and bisection.

    ``x' = argmin_u ‖u - x‖  subject to  argmax z(u) ≠ c``, approximately: every member
    of the search keeps the closest point of another class on its way, the segment from
    the image to that point is bisected, and the closest of all members is taken.

    The point is differentiable in the image and in whatever ``logits_fn`` closes over,
    as an implicit function and not through the search. ``ray`` holds ``D = x' - x``
    fixed: ``x' = x + s D`` with ``margin(x') = 0``. ``nearest`` takes x' as the nearest
    point of a smooth boundary, which it must then be: inside the bounds, and unique.

    Jit whatever calls this: called eagerly, every loop of every member is compiled anew
    each time. Jitted, the whole ensemble is compiled once.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds of the search.
      labels: integers ``(N,)``; looked at only where the search has ``leave="label"``.
      key: one typed key, or ``(N,)``, one an image. Needed where a member draws, as in
        the default search.
      search: a ``BoundarySearch``; or its members alone: names such as
        ``"deepfool,fab"``, objects such as ``ja.boundaries.ddn(num_steps=40)``, step
        attacks, or several in a list. By default one of each of
        ``ja.boundaries.boundary_names()``: at most 1,041 forward and 941 backward
        passes. What is left of them costs nothing once all images of a call are done;
        till then one that is done takes its row.
      batch_size: the most model rows in one call; the steps follow one another, so a
        call never takes more than N.

    Returns:
      A ``BoundaryPoint``. Where no member finds a point of another class within its
      budget ``found`` is false: then the point is the image, the distance infinity, and
      both have derivative zero; ``ja.boundaries.diagnose`` looks for a reason. A point
      whose logits hold a NaN is of no other class, so near an image with NaN nothing is
      found. With ``leave="label"`` a label that is no class has the distance NaN.

    Raises:
      ValueError: shapes that do not fit, no key where one is needed, an unknown member,
        images too large for ``gradient="nearest"``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> search = ja.BoundarySearch("deepfool", side="inside")
      >>> found = ja.nearest_boundary(logits_fn, image, jnp.array([0]), search=search)
      >>> [f"{value:.3f}" for value in found.points.ravel()], int(found.labels[0])
      (['0.550', '0.550', '0.100'], 1)

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257.
    """
    if isinstance(search, BoundaryPoint):
        raise ValueError(
            "search: expected members of a search, got a BoundaryPoint: there is "
            "nothing to search for; pass it to bsm, big or bsg"
        )
    search = as_search(search)
    logits_fn, images, labels = check_task(
        logits_fn, images, labels, bounds=search.bounds, finite=False
    )
    return boundary_point(
        logits_fn, images, labels, key=key, search=search, batch_size=batch_size
    )


def boundary_point(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None,
    search: PointOrSearch,
    batch_size: int | None,
) -> BoundaryPoint:
    """The boundary point that was found before, or found now.

    Args:
      logits_fn: as in ``nearest_boundary``.
      images: as ``check_task`` returns them.
      labels: as ``check_task`` returns them.
      key: as in ``nearest_boundary``; not looked at where the point is there.
      search: a ``BoundaryPoint``, or what ``nearest_boundary`` takes.
      batch_size: as in ``nearest_boundary``.

    Raises:
      ValueError: as ``nearest_boundary``; a point of images of another shape.
    """
    # Found before.
    if isinstance(search, BoundaryPoint):
        if search.points.shape != images.shape:
            expected = f"a BoundaryPoint of images {images.shape}"
            raise fail("search", expected, search.points)
        return search._replace(points=search.points.astype(images.dtype))

    # Found now.
    how = as_search(search)
    _check_shape(how, images.shape)
    keys = check_key(key, labels) if how.needs_key else None

    def find(_: int, images: Array, labels: Array, keys: Array | None) -> BoundaryPoint:
        return _nearest(logits_fn, images, labels, keys, how)

    return by_image_batches(find, batch_size, images, labels, keys)


def _check_shape(search: BoundarySearch, shape: tuple[int, ...]) -> None:
    """Refuses images ``(N, H, W, C)`` that the gradient or the units do not fit."""
    most, channels = implicit.MAX_VALUES, shape[-1]
    if search.gradient == "nearest" and math.prod(shape[1:]) > most:
        raise ValueError(
            f"images: expected images of at most {most} values for gradient='nearest', "
            f"got {list(shape)}"
        )
    if search.units is not None and channels != len(search.units.mean):
        raise ValueError(
            f"units: expected {channels} means and {channels} standard deviations, one "
            f"of each a channel of the images, got {tuple(search.units)}"
        )


def _nearest(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    keys: Array | None,
    search: BoundarySearch,
) -> BoundaryPoint:
    """The boundary of images that share a call."""
    # The units of the search.
    inner_fn, inner_images, bounds = logits_fn, images, search.bounds
    if search.units is not None:
        shape = (1, 1, 1, -1)
        mean, stddev = (
            jnp.asarray(values, images.dtype).reshape(shape) for values in search.units
        )
        inner_fn = lambda x: logits_fn(x * stddev + mean)
        inner_images = (images - mean) / stddev
        bounds = ((bounds[0] - mean) / stddev, (bounds[1] - mean) / stddev)

    # Searching, with the model as a constant.
    start = jax.lax.stop_gradient(inner_images)
    constant_fn = implicit.constants_stopped(inner_fn, start)
    logits = constant_fn(start)
    source = jnp.argmax(logits, axis=-1) if search.leave == "predicted" else labels
    task = BoundaryTask(constant_fn, start, source, keys, bounds, search.norm)
    best, inside, members = _closest_of_all(task, search, other_class(task, logits))
    found = best.distances < jnp.inf
    points = best.points if search.side == "outside" else inside
    distances = jnp.where(found, distance(points - start, search.norm), jnp.inf)

    # The derivative, by the equation that the point solves.
    differentiated = {"ray": implicit.along_ray, "nearest": implicit.nearest}
    points, distances = differentiated[search.gradient](
        implicit.Model(inner_fn, constant_fn, source), inner_images, points, distances
    )
    is_class = scores.nan_unless_class(logits, source)
    distances = distances * is_class.astype(distances.dtype)

    # Back to pixels.
    if search.units is not None:
        points = points * stddev + mean
        # What is an image still is that image to the bit; not found, without derivative.
        is_found = found.reshape(-1, 1, 1, 1)
        still = jnp.where(is_found, images, jax.lax.stop_gradient(images))
        is_moved = is_found & (distances > 0).reshape(is_found.shape)
        points = jnp.where(is_moved, points, still)
    return BoundaryPoint(points, distances, found, best.classes, members)


def _closest_of_all(
    task: BoundaryTask, search: BoundarySearch, classes: Array
) -> tuple[Best, Array, Array]:
    """The best of all members, the inner ends of their segments, and their indices.

    Args:
      task: what is asked for.
      search: the members and the number of bisections.
      classes: ``(N,)``, what the model predicts at the images.
    """
    # An image that has left its class already is found where it is.
    best = as_found(task, task.images, classes)
    inside = task.images
    indices = jnp.full_like(task.source_classes, -1)
    for index, member in enumerate(search.members):
        found, inner = _bisect(task, member.find(task), search.num_bisections)
        is_nearer = found.distances < best.distances
        best, inside, indices = where_images(
            is_nearer,
            (found, inner, jnp.full_like(indices, index)),
            (best, inside, indices),
        )
    return best, inside, indices


def _bisect(task: BoundaryTask, found: Best, num_bisections: int) -> tuple[Best, Array]:
    """The segment from the image to the point, halved so that its outer end stays of
    another class; and the inner end."""

    def halve(ends: _Ends, _: None) -> tuple[_Ends, None]:
        inside, outside, classes = ends
        middle = (inside + outside) / 2
        middle_classes = predicted(task, middle)
        is_other = middle_classes != task.source_classes
        return where_images(
            is_other, (inside, middle, middle_classes), (middle, outside, classes)
        ), None

    ends = (task.images, found.points, found.classes)
    (inside, outside, classes), _ = jax.lax.scan(halve, ends, length=num_bisections)
    is_found = found.distances < jnp.inf
    points = where_images(is_found, outside, task.images)
    distances = distance(points - task.images, task.norm)
    distances = jnp.where(is_found, distances, jnp.inf)
    return Best(points, distances, classes), where_images(is_found, inside, points)


_Ends: TypeAlias = tuple[Array, Array, Array]
"""The inner and the outer end of a segment, and the class of the outer one."""
