"""Factors, shifts and reshapes that belong to the layer before them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxattr.interpreter.facts import Facts
from jaxattr.interpreter.nodes import LINEAR, Node
from jaxattr.interpreter.primitives import RESHAPES
from jaxattr.interpreter.program import Equation, Value


def behind(facts: Facts, equation: Equation, root: Value) -> Node | None:
    """The layer that an affine equation belongs to, if it does."""
    layer = facts.node_of.get(root)
    if layer is None or facts.program.uses[root] != 1:
        return None
    constants = [v for v in equation.inputs if v is not root]
    if constants and equation.outputs[0].shape != root.shape:
        return None
    scales = equation.name in ("mul", "div")
    if layer.kind == "sum":  # a mean
        if not scales or facts.number(constants[0]) is None:
            return None
    elif layer.kind in LINEAR:
        if scales and not _along_channels(facts, constants[0], layer):
            return None
        if constants and layer.has_shift and not _is_vector(facts, constants[0]):
            return None
    elif layer.kind != "normalization":
        return None
    return dataclasses.replace(
        layer,
        equations=[*layer.equations, equation],
        outputs=equation.outputs,
        has_scale=layer.has_scale or scales or equation.name in ("sub", "neg"),
    )


def _is_vector(facts: Facts, value: Value) -> bool:
    """Whether a constant varies along one axis at most."""
    return len(facts.varying(value)) <= 1


def _along_channels(facts: Facts, scale: Value, layer: Node) -> bool:
    """Whether a factor can be taken into the weights of a layer."""
    axes: list[int] | None = list(layer.channel_axes)
    for equation in layer.equations[1:]:
        if equation.name in RESHAPES and axes is not None:
            axes = _moved(axes, equation)
    varying = set(facts.varying(scale))
    return not varying if axes is None else varying <= set(axes)


def _moved(axes: Sequence[int], equation: Equation) -> list[int] | None:
    """Where axes are after a reshape, None where they are merged or split."""
    before, after = equation.inputs[0].shape, equation.outputs[0].shape
    if equation.name == "transpose":
        order = [int(a) for a in equation.params["permutation"]]
        return [order.index(a) for a in axes]
    kept, there = (
        [i for i, n in enumerate(shape) if n != 1] for shape in (before, after)
    )
    if [before[i] for i in kept] != [after[i] for i in there]:
        return None
    return [there[kept.index(a)] for a in axes if a in kept]
