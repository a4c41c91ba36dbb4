"""Norms and directions at any scale: squares neither overflow nor vanish.

Values are divided by a power of two near their largest first. That is exact, so that
where plain squares are in range the results are theirs to the bit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr.typing import Array

Axes = int | tuple[int, ...]


def scale_of(x: Array, axes: Axes) -> Array:
    """A power of two with ``scale <= max|x| < 2 scale``, axes kept; a constant.

    One half where x vanishes or is not finite.
    """
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axes, keepdims=True)
    _, exponent = jnp.frexp(largest)
    least = jnp.finfo(x.dtype).minexp
    exponent = jnp.maximum(exponent - 1, least).astype(jnp.int32)
    return jnp.ldexp(jnp.ones_like(largest), exponent)


def norm(x: Array, axes: Axes, keepdims: bool = False) -> Array:
    """``‖x‖₂`` over the axes; where x vanishes its derivative is zero."""
    scale = scale_of(x, axes)
    length = scale * _length(x / scale, axes)
    return length if keepdims else jnp.squeeze(length, axes)


def unit(x: Array, axes: Axes) -> Array:
    """``x / ‖x‖₂`` over the axes, zero where x vanishes, NaN where it holds one."""
    x = x / scale_of(x, axes)
    length = _length(x, axes)
    # Two wheres: a division by zero would be NaN in the derivative too.
    return jnp.where(length == 0, 0, x / jnp.where(length == 0, 1, length))


def _length(x: Array, axes: Axes) -> Array:
    """Of values near one; the axes are kept."""
    squared = jnp.sum(x**2, axes, keepdims=True)
    is_zero = squared == 0
    return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squared)))
