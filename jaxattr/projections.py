"""Projections of points onto what a budget allows; arrays in, arrays out.

They are applied outside differentiated functions: the derivative of a clip exactly at
its bound is one half in JAX, and pixels at 0 or 1 are common.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr._numerics import norms
from jaxattr.typing import Array, Bounds, Projection, Scalar


def box(points: Array, bounds: Bounds = (0.0, 1.0)) -> Array:
    """``clip(x, low, high)``."""
    return jnp.clip(points, bounds[0], bounds[1])


def linf_ball(points: Array, center: Array, epsilon: Scalar) -> Array:
    """``c + clip(x - c, -ε, ε)``: every value within ε of the centre."""
    return center + jnp.clip(points - center, -epsilon, epsilon)


def l2_ball(points: Array, center: Array, epsilon: Scalar) -> Array:
    """``c + (x - c) · min(1, ε / ‖x - c‖₂)``, the norm of each image over H, W, C."""
    offset = points - center
    length = norms.norm(offset, (-3, -2, -1), keepdims=True)
    outside = length > epsilon
    # Two wheres: a division by zero would be NaN in the derivative too.
    share = epsilon / jnp.where(outside, length, 1.0)
    return center + jnp.where(outside, share, 1.0) * offset


def linf_ball_and_box(center: Array, epsilon: Scalar, bounds: Bounds) -> Projection:
    """Points to the nearest within ε of the centre, value by value, and the bounds."""
    return lambda points: box(linf_ball(points, center, epsilon), bounds)
