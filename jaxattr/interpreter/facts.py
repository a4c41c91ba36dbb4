"""What is known of the values of a program, equation by equation.

Which depend on the images, which of these are the images still, which constants are one
number everywhere, and what a value is a function of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from jaxattr.interpreter import scalars
from jaxattr.interpreter.nodes import Node, Reading
from jaxattr.interpreter.primitives import ELEMENTWISE
from jaxattr.interpreter.program import Equation, Program, Value


class Facts:
    """Of the equations that have been read so far.

    Args:
      program: what is read.
      active: those of its inputs that depend on the images.
      reading: how.
      raw: those of its inputs that are the images.
    """

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
        self.parent: dict[Value, Value] = {}
        """Of a pointwise function's result, its argument."""
        self.nonnegative: set[Value] = set()
        self.weightless: set[Value] = set()
        """Constants made of literals alone."""
        self.uniform: dict[Value, Any] = {}
        """Constants that are one number everywhere."""
        self.node_of: dict[Value, Node] = {}

    def spread(self, equation: Equation) -> bool:
        """Marks what depends on the images; whether the equation does."""
        here = [v for v in equation.inputs if v in self.active]
        stops = equation.name == "stop_gradient" and self.reading.stop_gradient
        if here and not stops:
            self.active.update(equation.outputs)
            return True
        if not here:
            self._constant(equation)
        return False

    def _constant(self, equation: Equation) -> None:
        known = [v for v in equation.inputs if self.number(v) is not None]
        if all(v in known or v in self.weightless for v in equation.inputs):
            self.weightless.update(equation.outputs)
        if known and len(known) == len(equation.inputs):
            if equation.name in ("broadcast_in_dim", "pvary", "pcast"):
                self.uniform[equation.outputs[0]] = self.number(known[0])
            elif equation.name in ELEMENTWISE:
                numbers = [self.number(v) for v in equation.inputs]
                result = scalars.evaluate([equation], dict(zip(known, numbers)))
                if result is not None:
                    self.uniform[equation.outputs[0]] = result

    def number(self, value: Value) -> Any:
        """The one number that a constant is everywhere, or None."""
        if value in self.uniform:
            return self.uniform[value]
        if value.constant is not None and value.shape == ():
            return scalars.concrete(value.constant)
        return None

    def inputs(self, equation: Equation) -> list[Value]:
        """Those of an equation that depend on the images."""
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
        """The value, what it is a pointwise function of, what that is one of, and so on."""
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

    def is_stopped(self, value: Value) -> bool:
        """Whether it comes out of ``stop_gradient``."""
        equation = self.equation_of.get(value)
        return equation is not None and equation.name == "stop_gradient"


def integers(value: Value, equation: Equation | None) -> ValueError:
    """For a path through values that are no floating-point numbers."""
    where = "" if equation is None else f" into {equation.name!r} ({equation.line})"
    return ValueError(
        f"logits_fn: the score depends on the images through {value.dtype} values"
        f"{where}, through which no relevance can pass; compute them in floating point, "
        "or cut them off with jax.lax.stop_gradient"
    )
