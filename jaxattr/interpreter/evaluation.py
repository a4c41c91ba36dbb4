"""A program evaluated at one or several points, all values kept."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from jax import lax

from jaxattr.interpreter import loops
from jaxattr.interpreter.nodes import Graph
from jaxattr.interpreter.program import Equation, Value
from jaxattr.typing import Array


class Evaluation:
    """The values of a program, for each of the points that are compared.

    What does not depend on the images is evaluated once. Compiled, what nobody reads is
    not computed.
    """

    def __init__(
        self,
        graph: Graph,
        points: Sequence[Sequence[Array]],
    ):
        self.graph = graph
        self.points = len(points)
        self._shared: dict[Value, Array] = {}
        self._values: list[dict[Value, Array]] = [{} for _ in points]
        self._equation_of = {v: e for e in graph.program.equations for v in e.outputs}
        self._pointwise = {
            v: n for n in graph.nodes if n.kind == "pointwise" for v in n.outputs
        }
        self.carries: dict[Equation, list[list[Array]]] = {}
        """Of a loop, what enters each of its steps, for each point."""
        for value, *arrays in zip(graph.program.inputs, *points, strict=True):
            if value in graph.active:
                for values, array in zip(self._values, arrays):
                    values[value] = array
            else:
                self._shared[value] = arrays[0]
        for equation in graph.program.equations:
            if any(v in graph.active for v in equation.outputs):
                for i, values in enumerate(self._values):
                    arguments = [self.read(v, i) for v in equation.inputs]
                    values |= zip(
                        equation.outputs, self._apply(equation, arguments), strict=True
                    )
            else:
                arguments = [self.read(v) for v in equation.inputs]
                results = equation(*arguments)
                self._shared |= zip(equation.outputs, results, strict=True)

    def _apply(self, equation: Equation, arguments: list[Array]) -> list[Array]:
        if equation.name not in loops.LOOPS:
            return equation(*arguments)
        results, carries = loops.loop(equation).run(arguments)
        self.carries.setdefault(equation, []).append(carries)
        return results

    def read(self, value: Value, point: int = 0) -> Array:
        """The value of a result, an input or a constant."""
        if value in self._shared:
            return self._shared[value]
        if value in self._values[point]:
            return self._values[point][value]
        return value.constant

    def reread(self, value: Value, point: int = 0) -> Array:
        """``read`` on the way back, pointwise functions evaluated again.

        Who keeps both the argument and the result of every activation holds twice the
        memory of a gradient, and to fill it takes longer than to compute one of them.
        """
        node = self._pointwise.get(value)
        if node is None:
            return self.read(value, point)
        (argument,) = node.inputs
        # Behind a barrier, or the compiler finds that it has the result already.
        before = lax.optimization_barrier(self.read(argument, point))
        return self._from({argument: before}, value)

    def outputs(self, point: int = 0) -> list[Array]:
        """What the program returns."""
        return [self.read(v, point) for v in self.graph.program.outputs]

    def again(self, value: Value, inputs: Sequence[Array]) -> Array:
        """One value for other inputs; only what it needs is evaluated."""
        known = dict(zip(self.graph.program.inputs, inputs, strict=True))
        return self._from(known, value)

    def _from(self, known: Mapping[Value, Array], value: Value) -> Array:
        """A value for such others, on which all depends that depends on the images."""

        @functools.cache
        def read(value: Value) -> Array:
            if value in known:
                return known[value]
            if value not in self.graph.active:
                return self.read(value)
            equation = self._equation_of[value]
            results = equation(*map(read, equation.inputs))
            return results[equation.outputs.index(value)]

        return read(value)
