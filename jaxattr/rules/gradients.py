"""The derivative, and the two that change it at rectifiers."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxattr.interpreter import scalars
from jaxattr.interpreter.layer import Layer
from jaxattr.interpreter.nodes import LINEAR, Node, Reading
from jaxattr.interpreter.pullback import Rule, Rules
from jaxattr.rules.nonlinear import Gradient, Move
from jaxattr.typing import Array

READING = Reading(normalizations=False)


def is_rectifier(node: Node) -> bool:
    """Whether a pointwise layer is zero for negative inputs and grows from there.

    ``relu`` and ``relu6``, however they are written; not ``gelu`` or ``leaky_relu``.
    """
    if node.kind != "pointwise" or node.curve is None:
        return False
    values = node.curve(scalars.GRID)
    if values is None or not np.all(np.isfinite(values)):
        return False
    below, above = values[scalars.GRID <= 0], values[scalars.GRID > 0]
    return bool(np.all(below == 0) and np.all(np.diff(above) >= 0) and above[0] > 0)


def guided(layer: Layer, gradient: tuple[Array, ...]) -> list[Array]:
    """A rectifier lets positive gradients pass, where it is open."""
    positive = tuple(jnp.where(g > 0, g, jnp.zeros_like(g)) for g in gradient)
    return list(layer.pull(positive))


def deconvolved(layer: Layer, gradient: tuple[Array, ...]) -> list[Array]:
    """A rectifier lets positive gradients pass, open or not."""
    return [jnp.where(g > 0, g, jnp.zeros_like(g)) for g in gradient]


def at_rectifiers(rule: Rule) -> Rules:
    """A table: ``rule`` at rectifiers, elsewhere the derivative."""

    def chosen(node: Node) -> Rule:
        if is_rectifier(node):
            return rule
        if node.kind in (*LINEAR, "sum", "move", "affine", "addition"):
            return Move()
        return Gradient()

    return chosen
