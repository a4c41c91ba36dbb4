"""The boundary point as an implicit function of the image and of the model.

The search is not differentiated. Its answer x' solves an equation whose terms depend
on the image and on whatever the model closes over; one Newton step at x', whose value
is zero and whose derivative is not, hands that dependence on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._numerics import norms
from jaxattr.gradients import gradient
from jaxattr.typing import Array, LogitsFn, ScoreFn

GRADIENTS = ("ray", "nearest")
MAX_VALUES = 4096
"""Of an image, for ``nearest``: its Hessian is a square matrix of that size."""


class Model(NamedTuple):
    """A model and the classes that its boundary is of."""

    logits_fn: LogitsFn
    """Differentiated in what it closes over."""
    constant_fn: LogitsFn
    """The same, not differentiated in it; see ``constants_stopped``."""
    source_classes: Array
    """``(N,)``."""

    def margin(self) -> ScoreFn:
        """Zero on the boundary."""
        return scores.margin(self.logits_fn, self.source_classes)

    def constant_margin(self) -> ScoreFn:
        """The same numbers, a constant but for its argument."""
        return scores.margin(self.constant_fn, self.source_classes)


def constants_stopped(logits_fn: LogitsFn, images: Array) -> LogitsFn:
    """The model as a constant: only its argument is differentiated.

    What it closes over is found by tracing it once, for images of this shape.
    """
    model, constants = jax.closure_convert(lambda x: logits_fn(x), images)
    stopped = jax.lax.stop_gradient(constants)
    return lambda x: model(x, *stopped)


def along_ray(
    model: Model, images: Array, points: Array, distances: Array
) -> tuple[Array, Array]:
    """``x' = x + s D`` with D = x' - x held fixed and s from ``margin(x + s D) = 0``.

    ``ds = -d margin / ⟨∇margin, D⟩`` at s = 1.

    Args:
      model: what the boundary is of.
      images: ``(N, H, W, C)``.
      points: ``(N, H, W, C)``, what the search found.
      distances: ``(N,)``, of the points, infinity where none was found.

    Returns:
      Points and distances, with derivatives; of an image that is its own point, one
      and zero.
    """
    found = distances < jnp.inf
    ray = jax.lax.stop_gradient(points - images)
    at_points = gradient(model.constant_margin(), points)
    slope = jnp.sum(at_points * ray, (1, 2, 3))
    is_regular = found & (slope != 0)
    value = model.margin()(images + ray)
    share = -_zero(value) / jnp.where(is_regular, slope, 1)
    share = jnp.where(is_regular, share, 0).astype(images.dtype)
    shape = (-1, 1, 1, 1)
    moved = points + _zero(images) + share.reshape(shape) * ray
    # An image whose boundary was not found has the derivative of nothing.
    moves = is_regular | _is_the_image(images, points, found)
    moved = jnp.where(moves.reshape(shape), moved, points)
    return moved, (1 + share) * distances


def nearest(
    model: Model, images: Array, points: Array, distances: Array
) -> tuple[Array, Array]:
    """x' as the point of the boundary that is nearest by L2: its optimality conditions.

    ``x' - x + λ ∇m(x') = 0`` and ``m(x') = 0``, m the margin, so

    ``[I + λH, ∇m; ∇mᵀ, 0] (dx', dλ) = (dx - λ d∇m, -dm)``.

    Args:
      model: as in ``along_ray``.
      images: as in ``along_ray``.
      points: as in ``along_ray``.
      distances: as in ``along_ray``, by L2.

    Returns:
      Points and distances, with derivatives: zero where the matrix is singular, those
      of ``along_ray`` for an image that is its own point.
    """
    found = distances < jnp.inf
    num_images, size = images.shape[0], math.prod(images.shape[1:])
    flat = lambda x: x.reshape(num_images, size)
    constant = model.constant_margin()
    normal = flat(gradient(constant, points))
    # The boundary is the same whatever the unit of the margin.
    scale = norms.scale_of(normal, 1)
    normal = normal / scale
    rescaled = lambda score_fn: lambda x: score_fn(x) / scale[:, 0]
    constant = rescaled(constant)
    squared = jnp.sum(normal**2, axis=1)
    offset = flat(jax.lax.stop_gradient(points - images))
    multiplier = -jnp.sum(offset * normal, axis=1) / jnp.where(squared > 0, squared, 1)
    inverse = _inverse(constant, points, normal, multiplier)
    is_regular = found & jnp.isfinite(inverse).all((1, 2)) & (squared > 0)
    inverse = jnp.where(is_regular[:, None, None], inverse, 0)

    score_fn = rescaled(model.margin())
    pull = flat(gradient(score_fn, points))
    residual = multiplier[:, None] * _zero(pull) - _zero(flat(images))
    residual = jnp.concatenate([residual, _zero(score_fn(points))[:, None]], axis=1)
    step = -jnp.einsum("nij,nj->ni", inverse, residual, precision="highest")[:, :size]
    along = jnp.sum(offset * (step - _zero(flat(images))), axis=1)
    longer = jnp.where(is_regular, along / jnp.where(distances > 0, distances, 1), 0)
    is_the_image = _is_the_image(images, points, found)
    step = jnp.where(is_the_image[:, None], _zero(flat(images)), step)
    return points + step.reshape(images.shape), distances + longer


def _inverse(
    score_fn: ScoreFn, points: Array, normal: Array, multiplier: Array
) -> Array:
    """Of ``[I + λH, ∇m; ∇mᵀ, 0]``, ``(N, D + 1, D + 1)``."""
    num_images, size = normal.shape

    def column(index: Array) -> Array:
        is_it = (jnp.arange(size) == index).astype(points.dtype)
        tangent = jnp.zeros_like(points) + is_it.reshape(points.shape[1:])[None]
        push = jax.jvp(lambda x: gradient(score_fn, x), (points,), (tangent,))[1]
        return push.reshape(num_images, size)

    # N rows a call, one column of the Hessians after the other.
    hessian = jnp.moveaxis(jax.lax.map(column, jnp.arange(size)), 0, -1)
    identity = jnp.eye(size, dtype=points.dtype)[None]
    top = identity + multiplier[:, None, None] * hessian
    top = jnp.concatenate([top, normal[:, :, None]], axis=2)
    last = jnp.pad(normal, [(0, 0), (0, 1)])[:, None, :]
    return jnp.linalg.inv(jnp.concatenate([top, last], axis=1))


def _is_the_image(images: Array, points: Array, found: Array) -> Array:
    """Images of another class already: their own points, wherever the boundary lies."""
    return found & (points == images).all((1, 2, 3))


def _zero(x: Array) -> Array:
    """Nothing, with the derivative of x."""
    return x - jax.lax.stop_gradient(x)
