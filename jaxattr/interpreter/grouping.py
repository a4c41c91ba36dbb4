"""The layers of a program: its equations, grouped.

Only equations between the images and the score are grouped: what does not depend on the
images is a constant (a weight), which is evaluated and has no relevance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from jaxattr.interpreter import affine, patterns, products, scalars, signs
from jaxattr.interpreter.facts import Facts, integers
from jaxattr.interpreter.nodes import LINEAR, Graph, Node, Reading, is_resizing
from jaxattr.interpreter.primitives import (
    AFFINE,
    CONTROL_FLOW,
    ELEMENTWISE,
    MAXIMA,
    MOVES,
    RESHAPES,
    SUMS,
)
from jaxattr.interpreter.program import Equation, Program, Value, scopes


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
    facts = Facts(program, active, reading, raw)
    parts = _named_parts(program, reading.parts)
    last_of = {part[-1]: part for part in parts}
    inside = {equation for part in parts for equation in part}
    nodes = []
    for equation in program.equations:
        node = None
        if equation in last_of:
            node = _part(facts, last_of[equation])
        elif equation in inside:
            facts.spread(equation)
        elif facts.spread(equation):
            node = _node(facts, equation)
        if node is not None:
            _note(facts, node)
            nodes.append(node)
    return Graph(program, nodes, facts.active, facts.raw)


def _part(facts: Facts, equations: list[Equation]) -> Node | None:
    for equation in equations:
        facts.spread(equation)
    made = {v for e in equations for v in e.outputs}
    used = [v for e in equations for v in e.inputs]
    inputs = [v for v in used if v in facts.active and v not in made]
    inside: dict[Value, int] = {}
    for value in used:
        inside[value] = inside.get(value, 0) + 1
    uses = facts.program.uses
    outputs = [
        v
        for e in equations
        for v in e.outputs
        if v in facts.active and uses.get(v, 0) > inside.get(v, 0)
    ]
    if not outputs:
        return None
    return Node("part", equations, list(dict.fromkeys(inputs)), outputs)


def _node(facts: Facts, equation: Equation) -> Node | None:
    name = equation.name
    if name in CONTROL_FLOW:
        return Node(name, [equation], facts.inputs(equation), equation.outputs)
    if not any(v.is_float for v in equation.outputs):
        return None  # a mask: whoever chooses by it takes it in
    if name in ELEMENTWISE:
        return _elementwise(facts, equation)
    return _across(facts, equation)


def _elementwise(facts: Facts, equation: Equation) -> Node:
    (output,) = equation.outputs
    inputs = facts.inputs(equation)
    if equation.name == "select_n" and equation.inputs[0] not in facts.active:
        return Node("move", [equation], inputs, [output])
    masks = [v for v in inputs if not v.is_float]
    roots = list(
        dict.fromkeys(
            r for v in inputs for r in ([v] if v.is_float else facts.roots(v))
        )
    )
    root = facts.common(roots, output)
    if root is not None:
        roots = [root]
    elif not masks and equation.name in ("mul", "div", "add", "sub", "add_any"):
        matched = patterns.softmax(facts, equation) or patterns.normalization(
            facts, equation
        )
        if matched is not None:
            return matched
    equations = facts.between(equation, roots)
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
    if len([v for v in equation.inputs if v in facts.active]) > 1:
        is_affine = False
    if root.shape == output.shape:
        facts.parent[output] = root
    if not is_affine:
        node = Node("pointwise", equations, [root], [output])
        node.curve = _curve(facts, equations, root)
        return node
    return affine.behind(facts, equation, root) or Node(
        "affine", [equation], [root], [output]
    )


def _curve(facts: Facts, equations: list[Equation], root: Value) -> Any:
    numbers = {}
    made = {v for e in equations for v in e.outputs}
    for equation in equations:
        for value in equation.inputs:
            if value is root or value in made:
                continue
            numbers[value] = facts.number(value)
            if numbers[value] is None:
                return None
    return lambda x: scalars.evaluate(equations, {**numbers, root: x})


def _across(facts: Facts, equation: Equation) -> Node:
    name, inputs = equation.name, facts.inputs(equation)
    floats = [v for v in inputs if v.is_float]
    if len(floats) != len(inputs):
        value = next(v for v in inputs if not v.is_float)
        raise integers(value, equation)
    if name in RESHAPES and len(inputs) == 1:
        layer = facts.node_of.get(inputs[0])
        if (
            layer is not None
            and layer.kind in LINEAR
            and facts.program.uses[inputs[0]] == 1
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
    if not products.is_linear(equation, inputs):
        if len(inputs) == 2 and all(products.is_linear(equation, [v]) for v in inputs):
            return Node("product", [equation], inputs, outputs)
        return Node("unknown", [equation], inputs, outputs)
    weights = [
        v
        for v in equation.inputs
        if v not in facts.active and v.is_float and v not in facts.weightless
    ]
    if len(inputs) != 1 or len(weights) != 1 or facts.number(weights[0]) is not None:
        return Node("sum", [equation], inputs, outputs)
    node = Node("dense", [equation], inputs, outputs, weight=weights[0])
    if products.is_convolution(equation, inputs[0]):
        node.kind = "convolution"
    node.weight_axes, node.channel_axes = products.channels(equation, weights[0])
    node.first = inputs[0] in facts.raw
    return node


def _note(facts: Facts, node: Node) -> None:
    for output in node.outputs:
        facts.node_of[output] = node
    node.raw = all(v in facts.raw for v in node.inputs)
    node.nonnegative = all(v in facts.nonnegative for v in node.inputs)
    prepares = node.kind in ("move", "affine", "pointwise") or is_resizing(node)
    if node.raw and prepares:
        facts.raw.update(node.outputs)
    if signs.is_nonnegative(facts, node):
        facts.nonnegative.update(node.outputs)


def _named_parts(program: Program, names: Sequence[str]) -> list[list[Equation]]:
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
