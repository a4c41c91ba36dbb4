"""What is known while tracing of values that do not depend on the images."""

from __future__ import annotations

from collections.abc import Mapping

from jaxattr.interpreter import scalars
from jaxattr.interpreter.primitives import ELEMENTWISE
from jaxattr.interpreter.program import Equation, Value


class Constants:
    """The numbers that constants are, and the axes along which they vary."""

    def __init__(self, equation_of: Mapping[Value, Equation]):
        self.equation_of = equation_of
        self.weightless: set[Value] = set()
        """Constants made of literals alone."""
        self.uniform: dict[Value, scalars.Numbers] = {}
        """Constants that are one number everywhere."""

    def add(self, equation: Equation) -> None:
        """Notes what an equation of constants returns."""
        pairs = [(v, self.number(v)) for v in equation.inputs]
        numbers = [n for _, n in pairs if n is not None]
        known = [v for v, n in pairs if n is not None]
        if all(v in known or v in self.weightless for v in equation.inputs):
            self.weightless.update(equation.outputs)
        if known and len(known) == len(equation.inputs):
            if equation.name in ("broadcast_in_dim", "pvary", "pcast"):
                self.uniform[equation.outputs[0]] = numbers[0]
            elif equation.name in ELEMENTWISE:
                result = scalars.evaluate([equation], dict(zip(known, numbers)))
                if result is not None:
                    self.uniform[equation.outputs[0]] = result

    def number(self, value: Value) -> scalars.Numbers | None:
        """The one number that a constant is everywhere, or None."""
        if value in self.uniform:
            return self.uniform[value]
        if value.constant is not None and value.shape == ():
            return scalars.concrete(value.constant)
        return None

    def is_vector(self, value: Value) -> bool:
        """Whether a constant varies along one axis at most."""
        return len(self.varying(value)) <= 1

    def varying(self, value: Value) -> list[int]:
        """The axes along which a constant may vary."""
        if self.number(value) is not None:
            return []
        equation = self.equation_of.get(value)
        if equation is not None and equation.name == "broadcast_in_dim":
            (source, *_), axes = (
                equation.inputs,
                equation.params["broadcast_dimensions"],
            )
            return [int(axes[i]) for i in self.varying(source)]
        if equation is not None and equation.name in ELEMENTWISE:
            varying = {a for v in equation.inputs for a in self.varying(v)}
            if all(v.shape in ((), value.shape) for v in equation.inputs):
                return sorted(varying)
        return [i for i, n in enumerate(value.shape) if n != 1]
