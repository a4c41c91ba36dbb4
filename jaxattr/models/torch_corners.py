"""Derivatives at the corners of activations as torch has them.

JAX gives a maximum half of the derivative where its arguments are equal, and torchax
composes activations of maxima. A unit is at a corner more often than one may think: for
a black image without a bias every unit is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxattr.models.activations import hard_sigmoid, hard_swish
from jaxattr.typing import Array

if TYPE_CHECKING:
    from torchax.tensor import Environment


def replace_activations(env: Environment) -> None:
    """Puts the activations of this file in the place of torchax's."""
    import torch
    from torchax.ops.op_base import InplaceOp

    aten = torch.ops.aten
    like = env._ops[aten.hardtanh]
    functions: dict[object, Callable[..., Array]] = {
        aten.hardtanh: _for_floats(hardtanh, like.func),
        aten.clamp.default: _for_floats(clamp, env._ops[aten.clamp.default].func),
        aten.clamp_min: _for_floats(clamp, env._ops[aten.clamp_min].func),
        aten.leaky_relu: leaky_relu,
        aten.abs: _for_floats(absolute, env._ops[aten.abs].func),
        aten.hardswish: hard_swish,
        aten.hardsigmoid: hard_sigmoid,
    }
    for name, function in functions.items():
        env._ops[name] = dataclasses.replace(like, torch_op=name, func=function)
    for name in ("hardtanh", "hardswish", "hardsigmoid", "leaky_relu"):
        inplace = getattr(aten, f"{name}_")
        env._ops[inplace] = dataclasses.replace(
            like,
            torch_op=inplace,
            func=InplaceOp(getattr(aten, name)),
            is_jax_function=False,
            is_view_op=True,
        )


def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Between two numbers, of derivative 0 at both; ReLU6 is one."""
    low, high = jnp.full_like(x, min_val), jnp.full_like(x, max_val)
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))


def clamp(x: Array, min: float | None = None, max: float | None = None) -> Array:
    """Between two numbers, of derivative 1 at both."""
    if min is not None:
        x = jnp.where(x < min, jnp.full_like(x, min), x)
    if max is not None:
        x = jnp.where(x > max, jnp.full_like(x, max), x)
    return x


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """``x`` above zero, else a multiple of it, of which the derivative is at zero."""
    return jnp.where(x > 0, x, x * jnp.full_like(x, negative_slope))


def absolute(x: Array) -> Array:
    """``|x|``, of derivative 0 at zero."""
    return jnp.where(x > 0, x, jnp.where(x < 0, -x, jnp.zeros_like(x) * x))


def _for_floats(
    function: Callable[..., Array], otherwise: Callable[..., Array]
) -> Callable[..., Array]:
    """A function of a real array and numbers, another one of what else there may be."""

    def either(x: Array, *args: object, **options: object) -> Array:
        plain = jnp.issubdtype(x.dtype, jnp.floating) and not any(
            isinstance(value, jax.Array) for value in (*args, *options.values())
        )
        return (function if plain else otherwise)(x, *args, **options)

    return either
