"""The equations of a function in one flat list, calls written out.

``jax.make_jaxpr`` traces a function once. What only groups equations (``jit``,
``checkpoint``, ``custom_vjp``) is replaced by its equations, so that whoever reads the
list sees one network, however it was written. What repeats or chooses (``scan``,
``cond``, ``while``, ``shard_map``) stays one equation with programs inside.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.extend.source_info_util import summarize

from jaxattr.interpreter.primitives import ELEMENTWISE
from jaxattr.typing import Array

Jaxpr = core.ClosedJaxpr | core.Jaxpr
"""With values for its constants, or without."""
Params = dict[str, Any]
"""Of a primitive: what each means is its own affair."""


class Value:
    """A result of an equation, an input, or a constant; told apart by identity."""

    __slots__ = ("aval", "constant")

    def __init__(self, aval: Any, constant: Any = None):
        self.aval = aval
        self.constant = constant

    @property
    def shape(self) -> tuple[int, ...]:
        """As arrays have it."""
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        """As arrays have it."""
        return self.aval.dtype

    @property
    def is_float(self) -> bool:
        """Whether a derivative can pass it."""
        return jax.numpy.issubdtype(self.dtype, jax.numpy.inexact)


@dataclasses.dataclass(eq=False)
class Equation:
    """One primitive applied to values."""

    jaxpr_equation: core.JaxprEqn
    inputs: list[Value]
    outputs: list[Value]
    scope: str
    """The named scopes that it is in, ``"outer/inner"``."""
    callers: tuple[core.JaxprEqn, ...] = ()
    """The equations that it was written out of, from the inside."""

    @property
    def name(self) -> str:
        """Of the primitive."""
        return self.jaxpr_equation.primitive.name

    @property
    def params(self) -> Params:
        """Of the primitive."""
        return self.jaxpr_equation.params

    @property
    def line(self) -> str:
        """The line of user code it came from."""
        for equation in (self.jaxpr_equation, *self.callers):
            found = summarize(equation.source_info)
            if found:
                return found
        return "no line known"

    def __call__(self, *arguments: Array) -> list[Array]:
        """The results for other arguments."""
        equation = self.jaxpr_equation
        params = equation.primitive.get_bind_params(equation.params)
        with equation.ctx.manager:
            results = equation.primitive.bind(*arguments, **params)
        return list(results) if equation.primitive.multiple_results else [results]


@dataclasses.dataclass(eq=False)
class Program:
    """Equations in an order in which they can be evaluated; called, it is."""

    inputs: list[Value]
    outputs: list[Value]
    equations: list[Equation]

    @functools.cached_property
    def uses(self) -> dict[Value, int]:
        """How often each value is used; an output is used by the caller."""
        counts: dict[Value, int] = {}
        for equation in self.equations:
            for value in equation.inputs:
                counts[value] = counts.get(value, 0) + 1
        for value in self.outputs:
            counts[value] = counts.get(value, 0) + 1
        return counts

    def __call__(self, *inputs: Array) -> list[Array]:
        """What it returns."""
        known = dict(zip(self.inputs, inputs, strict=True))

        def read(value: Value) -> Array:
            return known.get(value, value.constant)

        for equation in self.equations:
            results = equation(*map(read, equation.inputs))
            known |= zip(equation.outputs, results, strict=True)
        return [read(v) for v in self.outputs]

    def dependent(self, inputs: Collection[Value]) -> set[Value]:
        """All values that depend on some of its inputs."""
        found = set(inputs)
        for equation in self.equations:
            if any(v in found for v in equation.inputs):
                found.update(equation.outputs)
        return found


def trace(
    function: Callable[..., object], *arguments: object
) -> tuple[Program, jax.tree_util.PyTreeDef]:
    """The program of a function of arrays, and the structure of what it returns."""
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return of_jaxpr(closed), jax.tree.structure(shape)


def of_jaxpr(jaxpr: Jaxpr) -> Program:
    """The program of a jaxpr, closed or without constants."""
    inputs = [Value(v.aval) for v in opened(jaxpr).invars]
    equations: list[Equation] = []
    outputs = _inline(opened(jaxpr), _constants(jaxpr), inputs, "", equations)
    return Program(inputs, outputs, equations)


def opened(jaxpr: Jaxpr) -> core.Jaxpr:
    """A jaxpr without the values of its constants."""
    return jaxpr.jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else jaxpr


def _constants(jaxpr: Jaxpr) -> list[Value]:
    known = getattr(jaxpr, "consts", ())
    pairs = zip(opened(jaxpr).constvars, known, strict=True)
    return [Value(variable.aval, value) for variable, value in pairs]


def _inline(
    jaxpr: core.Jaxpr,
    constants: Sequence[Value],
    inputs: Sequence[Value],
    scope: str,
    equations: list[Equation],
    callers: tuple[core.JaxprEqn, ...] = (),
) -> list[Value]:
    """Adds the equations of a jaxpr to a list and returns its outputs."""
    values = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= zip(jaxpr.invars, inputs, strict=True)

    def read(atom: core.Var | core.Literal) -> Value:
        if isinstance(atom, core.Literal):
            return Value(atom.aval, atom.val)
        return values[atom]

    for equation in jaxpr.eqns:
        read_inputs = [read(atom) for atom in equation.invars]
        here = _join(scope, str(equation.source_info.name_stack))
        called = _called(equation)
        if called is not None:
            inner, used = called
            outputs = _inline(
                opened(inner),
                _constants(inner),
                read_inputs[-used:] if used else [],
                here,
                equations,
                (equation, *callers),
            )
        else:
            outputs = [Value(v.aval) for v in equation.outvars]
            equations.append(Equation(equation, read_inputs, outputs, here, callers))
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


_CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint")
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def _called(equation: core.JaxprEqn) -> tuple[Jaxpr, int] | None:
    """The jaxpr that an equation only calls, and how many inputs it takes."""
    name = equation.primitive.name
    if name not in (*_CALLS, "custom_jvp_call", "custom_vjp_call", "custom_lin"):
        return None
    inner = next((equation.params[n] for n in _INNER if n in equation.params), None)
    if inner is None or (name == "custom_jvp_call" and _is_elementwise(inner)):
        # An activation such as jax.nn.relu keeps the derivative that it defines.
        return None
    return inner, len(opened(inner).invars)


def _is_elementwise(closed: Jaxpr) -> bool:
    jaxpr = opened(closed)
    if len(jaxpr.invars) != 1 or len(jaxpr.outvars) != 1:
        return False
    (argument,), (result,) = jaxpr.invars, jaxpr.outvars
    if Value(argument.aval).shape != Value(result.aval).shape:
        return False
    for equation in jaxpr.eqns:
        inner = next((equation.params[n] for n in _INNER if n in equation.params), None)
        if inner is None:
            if equation.primitive.name not in ELEMENTWISE:
                return False
        elif not _is_elementwise(inner):
            return False
    return True


def _join(outer: str, inner: str) -> str:
    return f"{outer}/{inner}" if outer and inner else outer or inner


def scopes(scope: str) -> Iterator[str]:
    """A scope and those around it, from the outermost in."""
    parts = scope.split("/") if scope else []
    for i in range(len(parts)):
        yield "/".join(parts[: i + 1])
