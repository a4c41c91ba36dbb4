"""Which results are known not to be negative: rules need fewer products behind them."""

from __future__ import annotations

import numpy as np

from jaxattr.interpreter import scalars
from jaxattr.interpreter.context import Context
from jaxattr.interpreter.nodes import Node
from jaxattr.interpreter.primitives import SUMS
from jaxattr.interpreter.program import Value


def is_nonnegative(context: Context, node: Node) -> bool:
    """Whether a layer's results are, given what is known of its inputs."""
    equation = node.last
    if node.kind == "softmax":
        return True
    if node.kind == "pointwise":
        if node.curve is None:
            return False
        grid = scalars.GRID
        values = node.curve(grid[grid >= 0] if node.nonnegative else grid)
        return values is not None and bool(np.all(values >= 0))
    if node.kind == "affine":
        others = [
            context.constants.number(v)
            for v in equation.inputs
            if v is not node.inputs[0]
        ]
        return (
            node.nonnegative
            and equation.name in ("mul", "div", "add", "convert_element_type", "name")
            and all(n is not None and n >= 0 for n in others)
        )
    if node.kind == "choice" and equation.name in ("select_n", "max", "min"):
        cases = equation.inputs[1 if equation.name == "select_n" else 0 :]
        return all(_counts_as_nonnegative(context, v) for v in cases)
    if node.kind in ("addition", "product", "quotient"):
        return equation.name in ("add", "mul", "div", "dot_general") and all(
            v in context.nonnegative for v in equation.inputs
        )
    if node.kind in ("move", "maximum") or equation.name in SUMS:
        cases = [v for v in equation.inputs if v.is_float]
        return all(_counts_as_nonnegative(context, v) for v in cases)
    return False


def _counts_as_nonnegative(context: Context, value: Value) -> bool:
    """Also what pads a maximum: it never wins."""
    number = context.constants.number(value)
    if number is not None:
        return bool(number >= 0 or number == -np.inf)
    return value in context.nonnegative
