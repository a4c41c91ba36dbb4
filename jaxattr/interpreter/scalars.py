"""Pointwise functions in numpy, to see what they are: is it a rectifier, is it monotone?

Looked at while tracing, so nothing of it is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from jaxattr.interpreter.program import Equation, Jaxpr, Value, opened

_POSITIVE = np.concatenate([np.geomspace(1e-6, 1e4, 41), np.linspace(0.25, 12, 48)])
GRID = np.sort(np.concatenate([-_POSITIVE, [0.0], _POSITIVE]))
"""Where functions are looked at."""

Numbers = np.ndarray | np.float64 | np.bool_
"""One number, or one for each place where a function is looked at; truth values too."""

_erf = np.vectorize(math.erf, otypes=[float])

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.logical_and,
    "copy": lambda x: x,
    "copy_p": lambda x: x,
    "cos": np.cos,
    "div": np.divide,
    "eq": np.equal,
    "erf": _erf,
    "erfc": lambda x: 1 - _erf(x),
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "name": lambda x: x,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.logical_not,
    "or": np.logical_or,
    "pow": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select_n": lambda which, *cases: np.select(
        [np.asarray(which).astype(int) == i for i in range(len(cases))], cases
    ),
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "stop_gradient": lambda x: x,
    "sub": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
    "clamp": lambda low, x, high: np.clip(x, low, high),
}


def concrete(value: object) -> Numbers | None:
    """A number that is known while tracing, or None."""
    if isinstance(value, jax.core.Tracer):
        return None
    try:
        return np.asarray(value).astype(np.float64)[()]
    except (TypeError, ValueError):
        return None


def evaluate(
    equations: Sequence[Equation], values: Mapping[Value, Numbers | None]
) -> Numbers | None:
    """The last result of equations for such values, or None where they are unknown."""
    known = dict(values)
    result = None
    with np.errstate(all="ignore"):
        for equation in equations:
            arguments = [known.get(v) for v in equation.inputs]
            if any(a is None for a in arguments):
                arguments = [
                    concrete(v.constant) if a is None and v.constant is not None else a
                    for v, a in zip(equation.inputs, arguments)
                ]
            if any(a is None for a in arguments):
                return None
            result = _apply(equation.jaxpr_equation, arguments)
            if result is None:
                return None
            known[equation.outputs[0]] = result
    return result


def _apply(
    equation: core.JaxprEqn, arguments: Sequence[Numbers | None]
) -> Numbers | None:
    name, params = equation.primitive.name, equation.params
    if name == "convert_element_type":
        kind = params["new_dtype"]
        x = np.asarray(arguments[0])
        return x.astype(kind if np.dtype(kind).kind in "biu" else np.float64)
    if name == "integer_pow":
        return np.asarray(arguments[0], float) ** float(params["y"])
    inner = next((params[n] for n in ("jaxpr", "call_jaxpr") if n in params), None)
    if inner is not None:
        return _call(inner, arguments)
    function = _FUNCTIONS.get(name)
    return None if function is None else function(*arguments)


def _call(closed: Jaxpr, arguments: Sequence[Numbers | None]) -> Numbers | None:
    jaxpr = opened(closed)
    values = dict(zip(jaxpr.constvars, map(concrete, getattr(closed, "consts", ()))))
    values |= dict(zip(jaxpr.invars, arguments))

    def read(atom: core.Var | core.Literal) -> Numbers | None:
        if isinstance(atom, core.Literal):
            return concrete(atom.val)
        return values[atom]

    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        if any(g is None for g in given):
            return None
        result = _apply(equation, given)
        if result is None or len(equation.outvars) != 1:
            return None
        values[equation.outvars[0]] = result
    return read(jaxpr.outvars[0])
