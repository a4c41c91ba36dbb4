"""Where a function has attention matrices: softmaxes that a product with values follows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import jax.numpy as jnp

from jaxattr._numerics.dtypes import widen
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.nodes import Node, Reading
from jaxattr.interpreter.program import Equation, Program, Value
from jaxattr.typing import Array

Axes = tuple[int | None, ...]
"""Which axes of a matrix the axes of another value are; None for one of size 1."""

_SAME = ("convert_element_type", "name", "copy", "copy_p", "stop_gradient")
"""What may lie between the softmax and the product, beside moves of axes."""


@dataclasses.dataclass(eq=False)
class Matrix:
    """Where a function has an attention matrix."""

    value: Value
    """What the softmax returns."""
    order: tuple[int, ...]
    """Its axes: images, heads, queries, keys."""
    scope: str
    """The named scopes that it is in."""
    product: Equation
    """Of the matrix with the values."""
    values: int
    """Which operand of the product the values are."""
    axes: Axes
    """Of the other operand."""
    num_leading: int = 1
    """How many of its axes are not heads: images, and windows."""

    def with_images_along(self, shape: Sequence[int]) -> Matrix:
        """With that axis first that has another size in the shape for one image."""
        axes = self.order[:-2]
        sizes = self.value.shape
        order = sorted(axes, key=lambda a: (sizes[a] == shape[a], axes.index(a)))
        return dataclasses.replace(self, order=(*order, *self.order[-2:]))

    def with_leading(self, axes: Sequence[int]) -> Matrix:
        """With those axes first, as windows of images."""
        others = (a for a in self.order if a not in axes)
        return dataclasses.replace(self, order=(*axes, *others), num_leading=len(axes))

    def laid_out(self, array: Array) -> Array:
        """The value, or what has its shape, as ``(N, heads, T, T)``."""
        array = jnp.transpose(widen(array), self.order)
        leading = math.prod(array.shape[: self.num_leading])
        return array.reshape(leading, -1, *array.shape[-2:])


def matrices(program: Program) -> list[Matrix]:
    """Those of a program, in order, outside of ``scan``, ``cond`` and ``while``."""
    layers = graph(program, program.inputs, Reading())
    found = (
        _matrix(program, layers.active, node)
        for node in layers.nodes
        if node.kind == "softmax" and len(node.axes) == 1
    )
    return [matrix for matrix in found if matrix is not None]


def _matrix(program: Program, active: set[Value], node: Node) -> Matrix | None:
    """The matrix that a softmax is, if a product over its axis follows."""
    (value,) = node.outputs
    axes: dict[Value, Axes] = {value: tuple(range(len(value.shape)))}
    for equation in program.equations:
        here = [i for i, v in enumerate(equation.inputs) if v in axes]
        if not here:
            continue
        before = axes[equation.inputs[here[0]]]
        moved = _moved(equation, before)
        if moved is not None:
            axes[equation.outputs[0]] = moved
        elif equation.name == "dot_general" and all(
            v in active for v in equation.inputs
        ):
            contracted, batch = equation.params["dimension_numbers"]
            keys = [before[int(a)] for a in contracted[here[0]]]
            batch_axes = [before[int(a)] for a in batch[here[0]]]
            # Beside the queries, heads that share their values are free as well.
            taken = (*keys, *batch_axes, None)
            free = [a for a in before if a is not None and a not in taken]
            # An axis of size 1 may be left out: a single image or head.
            absent = [a for a in range(len(value.shape)) if a not in before]
            shared = [*absent, *(a for a in batch_axes if a is not None)]
            if tuple(keys) == node.axes and free and shared:
                size = value.shape[node.axes[0]]
                alike = [a for a in free if value.shape[a] == size]
                queries = (alike or free)[-1]
                heads = (a for a in free if a != queries)
                order = (*sorted(shared), *heads, queries, *node.axes)
                scope = node.last.scope
                return Matrix(value, order, scope, equation, 1 - here[0], before)
    return None


def _moved(equation: Equation, before: Axes) -> Axes | None:
    """The axes after a transposition, or one that adds or leaves out axes of size 1."""
    if equation.name in _SAME:
        return before
    if equation.name == "transpose":
        return tuple(before[int(a)] for a in equation.params["permutation"])
    if equation.name not in ("reshape", "squeeze", "broadcast_in_dim"):
        return None
    shape, result = equation.inputs[0].shape, equation.outputs[0].shape
    kept, there = ([i for i, n in enumerate(s) if n != 1] for s in (shape, result))
    if [shape[i] for i in kept] != [result[i] for i in there]:
        return None
    if equation.name == "broadcast_in_dim":
        there = [int(equation.params["broadcast_dimensions"][i]) for i in kept]
    after: list[int | None] = [None] * len(result)
    for i, j in zip(kept, there):
        after[j] = before[i]
    return tuple(after)
