"""Equations that are one thing are one layer, however it was written.

A convolution, its bias and the batch norm behind it are one affine layer; ``x Φ(x)`` is
one nonlinearity of ``x``, though it is written with a product; ``exp(x) / Σ exp(x)`` is a
softmax.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from jaxattr.interpreter.context import Context, integers
from jaxattr.interpreter.nodes import LINEAR, Graph, Node, Reading, is_resizing
from jaxattr.interpreter.patterns import normalization, softmax
from jaxattr.interpreter.primitives import (
    AFFINE,
    CONTROL_FLOW,
    ELEMENTWISE,
    MAXIMA,
    MOVES,
    RESHAPES,
    SUMS,
)
from jaxattr.interpreter.products import (
    channels,
    is_average,
    is_convolution,
    is_linear,
    moved,
)
from jaxattr.interpreter.program import Equation, Program, Value, scopes
from jaxattr.interpreter.signs import is_nonnegative


def graph(
    program: Program,
    active: Collection[Value],
    reading: Reading,
    raw: Collection[Value] = (),
) -> Graph:
    """The layers of a program.

    Args:
      program: what is read.
      active: those of its inputs that depend on the images.
      reading: how.
      raw: those of its inputs that are the images.

    Raises:
      ValueError: for a path through integers.
    """
    context = Context(program, active, reading, raw)
    parts = named_parts(program, reading.parts)
    last_of = {part[-1]: part for part in parts}
    inside = {equation for part in parts for equation in part}
    nodes = []
    for equation in program.equations:
        node = None
        if equation in last_of:
            node = _part(context, last_of[equation])
        elif equation in inside:
            context.spread(equation)
        elif context.spread(equation):
            node = _node(context, equation)
        if node is not None:
            _note(context, node)
            nodes.append(node)
    return Graph(program, nodes, context.active, context.raw)


def _part(context: Context, equations: list[Equation]) -> Node | None:
    for equation in equations:
        context.spread(equation)
    made = {v for e in equations for v in e.outputs}
    used = [v for e in equations for v in e.inputs]
    inputs = [v for v in used if v in context.active and v not in made]
    inside: dict[Value, int] = {}
    for value in used:
        inside[value] = inside.get(value, 0) + 1
    uses = context.program.uses
    outputs = [
        v
        for e in equations
        for v in e.outputs
        if v in context.active and uses.get(v, 0) > inside.get(v, 0)
    ]
    if not outputs:
        return None
    return Node("part", equations, list(dict.fromkeys(inputs)), outputs)


def _node(context: Context, equation: Equation) -> Node | None:
    name = equation.name
    if name in CONTROL_FLOW:
        return Node(name, [equation], context.inputs(equation), equation.outputs)
    if not any(v.is_float for v in equation.outputs):
        return None  # a mask: whoever chooses by it takes it in
    if name in ELEMENTWISE:
        return _elementwise(context, equation)
    return _across(context, equation)


def _elementwise(context: Context, equation: Equation) -> Node:
    (output,) = equation.outputs
    inputs = context.inputs(equation)
    if equation.name == "select_n" and equation.inputs[0] not in context.active:
        return Node("move", [equation], inputs, [output])
    masks = [v for v in inputs if not v.is_float]
    roots = list(
        dict.fromkeys(
            r for v in inputs for r in ([v] if v.is_float else context.roots(v))
        )
    )
    root = context.common(roots, output)
    if root is not None:
        roots = [root]
    elif not masks and equation.name in ("mul", "div", "add", "sub", "add_any"):
        matched = softmax(context, equation) or normalization(context, equation)
        if matched is not None:
            return matched
    equations = context.between(equation, roots)
    if len(roots) > 1:
        kinds = {
            **dict.fromkeys(("add", "sub", "add_any"), "addition"),
            "mul": "product",
            "div": "quotient",
            **dict.fromkeys(("max", "min", "select_n", "clamp"), "choice"),
        }
        kind = kinds.get(equation.name, "elementwise")
        return Node(kind, equations, roots, [output])
    (root,) = roots
    is_affine = len(equations) == 1 and equation.name in AFFINE
    if equation.name == "div" and equation.inputs[0] is not root:
        is_affine = False
    if len([v for v in equation.inputs if v in context.active]) > 1:
        is_affine = False
    if root.shape == output.shape:
        context.parent[output] = root
    if not is_affine:
        node = Node("pointwise", equations, [root], [output])
        node.curve = context.curve(equations, root)
        return node
    return _behind(context, equation, root) or Node(
        "affine", [equation], [root], [output]
    )


def _behind(context: Context, equation: Equation, root: Value) -> Node | None:
    """The layer that an affine equation belongs to, if it does."""
    layer = context.node_of.get(root)
    if layer is None or context.program.uses[root] != 1:
        return None
    constants = [v for v in equation.inputs if v is not root]
    if constants and equation.outputs[0].shape != root.shape:
        return None
    scales = equation.name in ("mul", "div")
    if layer.kind == "sum":  # a mean
        if not scales or context.constants.number(constants[0]) is None:
            return None
    elif layer.kind in LINEAR:
        if scales and not _along_channels(context, constants[0], layer):
            return None
        if (
            constants
            and layer.has_shift
            and not context.constants.is_vector(constants[0])
        ):
            return None
    elif layer.kind != "normalization":
        return None
    return dataclasses.replace(
        layer,
        equations=[*layer.equations, equation],
        outputs=equation.outputs,
        has_scale=layer.has_scale or scales or equation.name in ("sub", "neg"),
    )


def _along_channels(context: Context, scale: Value, layer: Node) -> bool:
    """Whether a factor can be taken into the weights of a layer."""
    axes: list[int] | None = list(layer.channel_axes)
    for equation in layer.equations[1:]:
        if equation.name in RESHAPES and axes is not None:
            axes = moved(axes, equation)
    varying = set(context.constants.varying(scale))
    return not varying if axes is None else varying <= set(axes)


def _across(context: Context, equation: Equation) -> Node:
    name, inputs = equation.name, context.inputs(equation)
    floats = [v for v in inputs if v.is_float]
    if len(floats) != len(inputs):
        value = next(v for v in inputs if not v.is_float)
        raise integers(value, equation)
    if name in RESHAPES and len(inputs) == 1:
        layer = context.node_of.get(inputs[0])
        if (
            layer is not None
            and layer.kind in LINEAR
            and context.program.uses[inputs[0]] == 1
        ):
            return dataclasses.replace(
                layer,
                equations=[*layer.equations, equation],
                outputs=equation.outputs,
            )
    outputs = equation.outputs
    if name in MOVES:
        return Node("move", [equation], inputs, outputs)
    if name in SUMS:
        return Node("sum", [equation], inputs, outputs)
    if name in MAXIMA:
        return Node("maximum", [equation], inputs, outputs)
    if not is_linear(equation, inputs):
        if len(inputs) == 2 and all(is_linear(equation, [v]) for v in inputs):
            return Node("product", [equation], inputs, outputs)
        return Node("unknown", [equation], inputs, outputs)
    weights = [
        v
        for v in equation.inputs
        if v not in context.active
        and v.is_float
        and v not in context.constants.weightless
    ]
    if (
        len(inputs) != 1
        or len(weights) != 1
        or context.constants.number(weights[0]) is not None
        or is_average(equation, weights[0], inputs[0])
    ):
        return Node("sum", [equation], inputs, outputs)
    node = Node("dense", [equation], inputs, outputs, weight=weights[0])
    if is_convolution(equation, inputs[0]):
        node.kind = "convolution"
    node.weight_axes, node.channel_axes = channels(equation, weights[0])
    node.first = inputs[0] in context.raw
    return node


def _note(context: Context, node: Node) -> None:
    for output in node.outputs:
        context.node_of[output] = node
    node.raw = all(v in context.raw for v in node.inputs)
    node.nonnegative = all(v in context.nonnegative for v in node.inputs)
    prepares = node.kind in ("move", "affine", "pointwise") or is_resizing(node)
    if node.raw and prepares:
        context.raw.update(node.outputs)
    if is_nonnegative(context, node):
        context.nonnegative.update(node.outputs)


def named_parts(program: Program, names: Sequence[str]) -> list[list[Equation]]:
    """The equations of each named part."""
    found: dict[tuple[str, str], list[Equation]] = {}
    for equation in program.equations:
        for name in names:
            if equation.name == "name" and equation.params["name"] == name:
                found.setdefault((name, f"tag{id(equation)}"), []).append(equation)
                break
            if name in scopes(equation.scope):
                found.setdefault((name, "scope"), []).append(equation)
                break
    return list(found.values())
