"""The nearest decision boundary: an ensemble of attacks, bisection, a derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_integer,
    check_key,
    check_number,
    fail,
)
from jaxattr._loops import by_image_batches
from jaxattr._task import check_task
from jaxattr.boundaries import implicit
from jaxattr.boundaries.ensemble import as_members
from jaxattr.boundaries.projected import pgd_released
from jaxattr.boundaries.search import (
    NORMS,
    Best,
    Member,
    Search,
    as_found,
    distance,
    other_class,
    predicted,
    where_images,
)
from jaxattr.typing import Array, LogitsFn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STDDEV = (0.229, 0.224, 0.225)


class BoundaryPoint(NamedTuple):
    """The nearest point of another class that was found for each image."""

    points: Array
    """``(N, H, W, C)``: on the boundary; the image itself where none was found."""
    distances: Array
    """``(N,)``: from the image, infinity where none was found."""
    found: Array
    """``(N,)`` bool."""
    labels: Array
    """``(N,)``: the class behind the boundary, the image's own where none was found."""
    members: Array
    """``(N,)``: which of ``search`` found it; -1 for none, and for an image that is
    misclassified already where ``leave="label"``."""


def nearest_boundary(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    search: Any = None,
    num_bisections: int = 20,
    batch_size: int | None = None,
    gradient: str = "ray",
    side: str = "outside",
    leave: str = "predicted",
    norm: str = "l2",
    bounds: tuple[Any, Any] = (0.0, 1.0),
    units: Any = "pixels",
    mode: str = "bisected",
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
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``; looked at only where ``leave="label"``.
      key: one typed key, or ``(N,)``, one an image. Needed where a member draws, as in
        the default search.
      search: a list of members (``ja.boundaries.ddn(num_steps=40)``, or the names of
        ``ja.boundaries.boundary_names()``), or of step attacks, which are tried over L∞
        radii; one alone will do. By default, or by ``"all"``, one of each name: at most
        1,041 forward and 941 backward passes. PGD, APGD and step attacks are done at
        the first radius that serves, DeepFool where an image is across; DDN, FAB and
        Carlini-Wagner refine to the end of their budgets. What is left costs nothing
        once all images of a call are done; till then one that is done takes its row.
      num_bisections: forward passes for each member; each halves the segment, from at
        most the whole distance. 0 for none.
      batch_size: the most model rows in one call; the steps follow one another, so a
        call never takes more than N.
      gradient: ``ray``, or ``nearest``: a Hessian and a linear system of the size of an
        image, which must have at most 4,096 values.
      side: ``outside``, the end of the last interval that is of another class, or
        ``inside``, the end of the same class. ``labels`` names the class outside.
      leave: ``predicted``: c is what the model predicts at the image. ``label``: c is
        the label, and an image that is misclassified already is its own point: its
        distance is 0 and has derivative zero, the point that of the image.
      norm: how distances are measured and compared: ``l1``, ``l2`` or ``linf``. Members
        follow their own.
      bounds: the least and the largest pixel value.
      units: ``pixels``; or ``normalized``, or a pair (mean, standard deviation) of each
        channel, for radii and distances published in network units: the search runs on
        ``(x - mean) / std`` (``normalized`` has those of ImageNet). Points come back in
        pixels.
      mode: ``bisected``; or ``released``, the search of the code published with
        boundary attributions, in place of ``search`` and without bisection: see
        ``ja.boundaries.pgd_released``. Its published numbers are in network units.

    Returns:
      A ``BoundaryPoint``. A search that fails is told by ``found``: then the point is
      the image, the distance infinity, and both have derivative zero. A point whose
      logits hold a NaN is of no other class, so near an image with NaN nothing is
      found. With ``leave="label"`` a label that is no class has the distance NaN.

    Raises:
      ValueError: shapes that do not fit, no key where one is needed, an unknown name or
        option, images too large for ``nearest``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> found = ja.nearest_boundary(
      ...     logits_fn, image, jnp.array([0]), search="deepfool"
      ... )
      >>> [f"{value:.3f}" for value in found.points.ravel()], int(found.labels[0])
      (['0.550', '0.550', '0.100'], 1)

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257.
    """
    bounds = check_bounds(bounds)
    logits_fn, images, labels = check_task(
        logits_fn, images, labels, bounds=bounds, finite=False
    )
    num_bisections, bounds, (mean, stddev) = check_options(
        images,
        num_bisections=num_bisections,
        mode=mode,
        bounds=bounds,
        units=units,
        norm=norm,
        side=side,
        leave=leave,
        gradient=gradient,
    )
    if isinstance(search, BoundaryPoint):
        raise ValueError(
            "search: expected members of a search, got a BoundaryPoint: there is "
            "nothing to search for; pass it to bsm, big or bsg"
        )
    if mode == "released":
        search, num_bisections = pgd_released(), 0
    members = as_members(search)
    needs_key = any(member.needs_key for member in members)
    keys = check_key(key, labels) if needs_key else None
    in_pixels = isinstance(units, str) and units == "pixels"
    if not in_pixels:
        bounds = ((bounds[0] - mean) / stddev, (bounds[1] - mean) / stddev)

    def compute(_: int, images: Array, labels: Array, keys: Array) -> BoundaryPoint:
        own_fn = lambda x: logits_fn(x * stddev + mean)
        images = (images - mean) / stddev
        if in_pixels:
            own_fn = logits_fn
        start = jax.lax.stop_gradient(images)
        constant_fn = implicit.constants_stopped(own_fn, start)
        logits = constant_fn(start)
        classes = jnp.argmax(logits, axis=-1)
        left = classes if leave == "predicted" else labels
        task = Search(constant_fn, start, left, keys, bounds, norm)
        classes = other_class(task, logits)
        best, inner, who = _closest_of_all(task, members, classes, num_bisections)
        points = best.points if side == "outside" else inner
        found = best.distances < jnp.inf
        given = (own_fn, constant_fn, images, left, points, found)
        if gradient == "ray":
            points, distances = implicit.along_ray(*given, norm)
        else:
            points, distances = implicit.nearest(*given)
        distances = distances * scores.nan_unless_class(logits, left).astype(
            distances.dtype
        )
        return BoundaryPoint(points, distances, found, best.labels, who)

    boundary = by_image_batches(compute, batch_size, images, labels, keys)
    if in_pixels:
        return boundary
    points = boundary.points * stddev + mean
    # What is an image still is that image to the bit; not found, without derivative.
    still = where_images(boundary.found, images, jax.lax.stop_gradient(images))
    is_moved = boundary.found & (boundary.distances > 0)
    return boundary._replace(points=where_images(is_moved, points, still))


def check_options(
    images: Array,
    *,
    num_bisections: Any,
    mode: Any,
    bounds: Any,
    units: Any,
    norm: Any,
    side: Any,
    leave: Any,
    gradient: Any,
) -> tuple[int, tuple[Any, Any], tuple[Any, Any]]:
    """Refuses what ``nearest_boundary`` does not take.

    Returns:
      The number of bisections, the bounds, and mean and standard deviation of units.
    """
    for name, value, known in (
        ("gradient", gradient, implicit.GRADIENTS),
        ("side", side, ("outside", "inside")),
        ("leave", leave, ("predicted", "label")),
        ("norm", norm, NORMS),
        ("mode", mode, ("bisected", "released")),
    ):
        check_choice(name, value, known)
    if gradient == "nearest":
        implicit.check_size(images, norm)
    num_bisections = check_integer("num_bisections", num_bisections, 0)
    return num_bisections, check_bounds(bounds), _units(units, images)


def _closest_of_all(
    task: Search, members: Sequence[Member], classes: Array, num_bisections: int
) -> tuple[Best, Array, Array]:
    """The best of all members, the inner ends of their segments, and who found it."""
    # An image that has left its class already is found where it is.
    best = as_found(task, task.images, classes)
    inner = task.images
    who = jnp.full_like(task.labels, -1)
    for index, member in enumerate(members):
        found, near = _bisect(task, member.find(task), num_bisections)
        is_nearer = found.distances < best.distances
        best, inner, who = where_images(
            is_nearer,
            (found, near, jnp.full_like(who, index)),
            (best, inner, who),
        )
    return best, inner, who


def _bisect(task: Search, found: Best, num_bisections: int) -> tuple[Best, Array]:
    """The segment from the image to the point, halved so that its outer end stays of
    another class; and the inner end."""

    def halve(ends: tuple[Array, Array, Array], _: None) -> tuple[Any, None]:
        inside, outside, labels = ends
        middle = (inside + outside) / 2
        told = predicted(task, middle)
        is_other = told != task.labels
        return where_images(
            is_other, (inside, middle, told), (middle, outside, labels)
        ), None

    ends = (task.images, found.points, found.labels)
    (inside, outside, labels), _ = jax.lax.scan(halve, ends, length=num_bisections)
    is_found = found.distances < jnp.inf
    points = where_images(is_found, outside, task.images)
    distances = distance(points - task.images, task.norm)
    distances = jnp.where(is_found, distances, jnp.inf)
    return Best(points, distances, labels), where_images(is_found, inside, points)


def _units(units: Any, images: Array) -> tuple[Any, Any]:
    """Mean and standard deviation as numbers, or of each channel ``(1, 1, 1, C)``."""
    if isinstance(units, str) and units == "pixels":
        return 0.0, 1.0
    if isinstance(units, str) and units == "normalized":
        units = (IMAGENET_MEAN, IMAGENET_STDDEV)
    channels = images.shape[-1]
    expected = (
        f"'pixels', 'normalized' (for three channels), or {channels} means and "
        f"{channels} standard deviations above zero"
    )
    try:
        mean, stddev = (
            [check_number("units", value) for value in values] for values in units
        )
    except (TypeError, ValueError):
        raise fail("units", expected, units) from None
    fits = len(mean) == len(stddev) == channels and min(stddev, default=0) > 0
    if not fits:
        raise fail("units", expected, units)
    shape = (1, 1, 1, channels)
    as_array = lambda values: jnp.asarray(values, images.dtype).reshape(shape)
    return as_array(mean), as_array(stddev)
