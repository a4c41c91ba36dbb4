"""Layers that are several equations: the softmax, and norms by statistics of the input."""

from __future__ import annotations

from collections.abc import Collection

from jaxattr.interpreter.context import Context
from jaxattr.interpreter.nodes import Node
from jaxattr.interpreter.primitives import ELEMENTWISE, MOVES, RESHAPES, SUMS
from jaxattr.interpreter.program import Equation, Value


def softmax(context: Context, equation: Equation) -> Node | None:
    """``exp(x - shift) / Σ exp(x - shift)``."""
    if equation.name != "div":
        return None
    numerator, denominator = equation.inputs
    moves = _back(context, denominator, MOVES)
    source = moves[-1].inputs[0] if moves else denominator
    total = context.equation_of.get(source)
    exp = context.equation_of.get(numerator)
    if total is None or total.name != "reduce_sum" or exp is None:
        return None
    if exp.name != "exp" or total.inputs[0] is not numerator:
        return None
    equations = [exp, total, *moves[::-1], equation]
    root = exp.inputs[0]
    shift = context.equation_of.get(root)
    axes = tuple(int(a) for a in total.params["axes"])
    if (
        shift is not None
        and shift.name == "sub"
        and shift.inputs[0] in context.active
        and _is_alike_along(context, shift.inputs[1], axes)
    ):
        equations.insert(0, shift)
        root = shift.inputs[0]
    return Node("softmax", equations, [root], equation.outputs, axes=axes)


def _is_alike_along(context: Context, value: Value, axes: Collection[int]) -> bool:
    """Whether a value is the same all along some axes."""
    if value.shape and all(value.shape[a] == 1 for a in axes):
        return True
    equation = context.equation_of.get(value)
    if equation is None:
        return False
    if equation.name == "stop_gradient":
        return _is_alike_along(context, equation.inputs[0], axes)
    if equation.name != "broadcast_in_dim":
        return False
    source = equation.inputs[0]
    kept = [
        int(a)
        for a, n in zip(equation.params["broadcast_dimensions"], source.shape)
        if n != 1
    ]
    return not set(kept) & set(axes)


def _back(context: Context, value: Value, names: Collection[str]) -> list[Equation]:
    """The equations of such names that a value comes through, one after another."""
    found: list[Equation] = []
    while True:
        equation = context.equation_of.get(value)
        if equation is None or equation.name not in names:
            return found
        inputs = context.inputs(equation)
        if len(inputs) != 1:
            return found
        found.append(equation)
        (value,) = inputs


def normalization(context: Context, equation: Equation) -> Node | None:
    """``x - mean x``, or ``x`` times or over a statistic of itself."""
    if not context.reading.normalizations or len(equation.inputs) != 2:
        return None
    x, statistic = equation.inputs
    if equation.name == "mul" and x.shape != equation.outputs[0].shape:
        x, statistic = statistic, x
    if x.shape != equation.outputs[0].shape:
        return None
    if equation.name == "sub":
        between = _statistic(context, statistic, x, linear=True)
        if between is None:
            return None
        return Node(
            "centering",
            sorted({*between, equation}, key=context.order.__getitem__),
            [x],
            equation.outputs,
        )
    if equation.name not in ("mul", "div"):
        return None
    candidates = [(x, statistic)]
    if equation.name == "mul":
        candidates.append((statistic, x))
    for x, statistic in candidates:
        between = _statistic(context, statistic, _base(context, x), linear=False)
        if between is not None and (
            equation.name == "div" or any(_is_root(context, e) for e in between)
        ):
            return _normalized(context, equation, x)
    return None


def _normalized(context: Context, equation: Equation, x: Value) -> Node:
    """A factor that is a statistic of ``x``, and the centering before it."""
    centering = context.node_of.get(x)
    if centering is None or centering.kind != "centering":
        return Node("scaling", [equation], [x], equation.outputs)
    equations = [*centering.equations, equation]
    return Node("normalization", equations, centering.inputs, equation.outputs)


def _base(context: Context, value: Value) -> Value:
    """What a value is a pointwise function or a centering of."""
    while True:
        value = context.ancestors(value)[-1]
        equation = context.equation_of.get(value)
        if equation is None or value not in context.active:
            return value
        node = context.node_of.get(value)
        if node is not None and node.kind == "centering":
            (value,) = node.inputs
        elif equation.name in RESHAPES:
            value = equation.inputs[0]
        else:
            return value


def _statistic(
    context: Context, value: Value, base: Value, linear: bool
) -> list[Equation] | None:
    """How a value comes from sums over functions of ``base``, if it only does."""
    found: list[Equation] = []
    todo, seen, sums = [value], set(), False
    while todo:
        value = todo.pop()
        if value in seen:
            continue
        seen.add(value)
        if value not in context.active and not _is_stopped(context, value):
            continue
        equation = context.equation_of.get(value)
        if equation is None:
            return None
        found.append(equation)
        if equation.name in SUMS:
            sums = True
            source = equation.inputs[0]
            if (source if linear else _base(context, source)) is not base:
                return None
        elif (
            equation.name in MOVES
            or (equation.name in ELEMENTWISE and not linear)
            or (equation.name in ("mul", "div", "convert_element_type") and linear)
        ):
            todo += equation.inputs
        else:
            return None
    return found if sums else None


def _is_root(context: Context, equation: Equation) -> bool:
    if equation.name == "div":
        return equation.inputs[1] in context.active
    return equation.name in ("rsqrt", "sqrt", "pow")


def _is_stopped(context: Context, value: Value) -> bool:
    equation = context.equation_of.get(value)
    return equation is not None and equation.name == "stop_gradient"
