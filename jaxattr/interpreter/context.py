"""What is known of a program's values while its equations are grouped into layers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from jaxattr.interpreter import scalars
from jaxattr.interpreter.constants import Constants
from jaxattr.interpreter.nodes import Curve, Node, Reading
from jaxattr.interpreter.primitives import ELEMENTWISE
from jaxattr.interpreter.program import Equation, Program, Value


class Context:
    """A program, and what has been found of it."""

    def __init__(
        self,
        program: Program,
        active: Collection[Value],
        reading: Reading,
        raw: Collection[Value],
    ):
        self.program, self.reading = program, reading
        self.active, self.raw = set(active), set(raw)
        self.equation_of = {v: e for e in program.equations for v in e.outputs}
        self.order = {e: i for i, e in enumerate(program.equations)}
        self.constants = Constants(self.equation_of)
        self.parent: dict[Value, Value] = {}
        """Of a pointwise function's result, its argument."""
        self.nonnegative: set[Value] = set()
        self.node_of: dict[Value, Node] = {}

    def spread(self, equation: Equation) -> bool:
        """Marks what depends on the images; whether the equation does."""
        here = [v for v in equation.inputs if v in self.active]
        stops = equation.name == "stop_gradient" and self.reading.stop_gradient
        if here and not stops:
            self.active.update(equation.outputs)
            return True
        if not here:
            self.constants.add(equation)
        return False

    def inputs(self, equation: Equation) -> list[Value]:
        """Those of an equation that depend on the images, each once."""
        return list(dict.fromkeys(v for v in equation.inputs if v in self.active))

    def roots(self, mask: Value) -> list[Value]:
        """The floating-point values that a mask depends on."""
        equation = self.equation_of.get(mask)
        if equation is None or equation.name not in ELEMENTWISE:
            raise integers(mask, equation)
        found = []
        for value in equation.inputs:
            if value in self.active:
                found += [value] if value.is_float else self.roots(value)
        return found

    def ancestors(self, value: Value) -> list[Value]:
        """A value and those that it is a pointwise function of, the nearest first."""
        found = [value]
        while found[-1] in self.parent:
            found.append(self.parent[found[-1]])
        return found

    def common(self, values: Sequence[Value], output: Value) -> Value | None:
        """The nearest value that all are pointwise functions of."""
        first, *others = (self.ancestors(v) for v in values)
        for candidate in first:
            if all(candidate in other for other in others):
                fits = len(values) == 1 or candidate.shape == output.shape
                return candidate if fits else None
        return None

    def between(self, equation: Equation, roots: Sequence[Value]) -> list[Equation]:
        """The equations from some values to an equation, that one included."""
        found, todo = {equation}, [equation]
        while todo:
            for value in todo.pop().inputs:
                if value in self.active and value not in roots:
                    before = self.equation_of.get(value)
                    if before is None:
                        raise integers(value, None)
                    if before not in found:
                        found.add(before)
                        todo.append(before)
        return sorted(found, key=self.order.__getitem__)

    def curve(self, equations: list[Equation], root: Value) -> Curve | None:
        """The function that equations compute of numbers, in numpy, or None."""
        numbers: dict[Value, scalars.Numbers | None] = {}
        made = {v for e in equations for v in e.outputs}
        for equation in equations:
            for value in equation.inputs:
                if value is root or value in made:
                    continue
                numbers[value] = self.constants.number(value)
                if numbers[value] is None:
                    return None

        def values(x: np.ndarray) -> np.ndarray | None:
            found = scalars.evaluate(equations, {**numbers, root: x})
            return None if found is None else np.asarray(found)

        return values


def integers(value: Value, equation: Equation | None) -> ValueError:
    """For a path through values that are not in floating point."""
    where = "" if equation is None else f" into {equation.name!r} ({equation.line})"
    return ValueError(
        f"logits_fn: the score depends on the images through {value.dtype} values"
        f"{where}, through which no relevance can pass; compute them in floating point, "
        "or cut them off with jax.lax.stop_gradient"
    )
