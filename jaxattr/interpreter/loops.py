"""Loops of a known number of steps, ``scan`` and such ``while`` as are one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import jax

from jaxattr.interpreter import scalars
from jaxattr.interpreter.program import Equation, Params, Program, Value, of_jaxpr
from jaxattr.interpreter.scalars import Numbers
from jaxattr.typing import Array

T = TypeVar("T")
LOOPS = ("scan", "while")
MOST_STEPS = 100_000
"""Of a ``while`` whose steps are counted while tracing."""


@dataclasses.dataclass(eq=False)
class Loop:
    """``(constants, carry, step inputs) -> (carry, step outputs)``, step by step."""

    equation: Equation
    body: Program
    num_constants: int
    num_carry: int
    length: int | None
    """None where it is counted when the loop is run."""
    reverse: bool

    def split(self, values: Sequence[T]) -> tuple[list[T], list[T], list[T]]:
        """What the equation takes: constants, carry, and what each step takes."""
        if self.equation.name == "while":
            values = values[self.equation.params["cond_nconsts"] :]
        first, second = self.num_constants, self.num_constants + self.num_carry
        return list(values[:first]), list(values[first:second]), list(values[second:])

    def run(self, values: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """The results, and what the carry was before each step, stacked."""
        constants, carry, stepped = self.split(values)

        def step(
            carry: list[Array], stepped: list[Array]
        ) -> tuple[list[Array], tuple[list[Array], list[Array]]]:
            results = self.body(*constants, *carry, *stepped)
            after = results[: self.num_carry]
            return after, (results[self.num_carry :], carry)

        length = self.length if self.length is not None else self.count(values)
        after, (outputs, carries) = jax.lax.scan(
            step, carry, stepped, length=length, reverse=self.reverse
        )
        return [*after, *outputs], carries

    def count(self, values: Sequence[Array]) -> int:
        """How many steps a ``while`` takes, if that depends on no array.

        Raises:
          ValueError: where it does.
        """
        equation, params = self.equation, self.equation.params
        condition = of_jaxpr(params["cond_jaxpr"])
        num_condition = params["cond_nconsts"]
        needed = _needed(condition, self.body, num_condition, self.num_constants)
        before = [scalars.concrete(v) for v in values[:num_condition]]
        constants, carry, _ = self.split(values)
        state = [
            scalars.concrete(c) if i in needed else None for i, c in enumerate(carry)
        ]
        inputs = [
            scalars.concrete(c) if getattr(c, "shape", ()) == () else None
            for c in constants
        ]
        for steps in range(MOST_STEPS):
            goes_on = _scalar(condition, [*before, *state], 0)
            if goes_on is None:
                break
            if not goes_on:
                return steps
            state = [
                _scalar(self.body, [*inputs, *state], i) if i in needed else None
                for i in range(self.num_carry)
            ]
            if any(state[i] is None for i in needed):
                break
        raise ValueError(
            f"logits_fn: the number of steps of a while_loop ({equation.line}) is not "
            "known while tracing; use lax.fori_loop or lax.scan with a fixed number"
        )


def loop(equation: Equation) -> Loop:
    """The loop that an equation is."""
    params = equation.params
    if equation.name == "scan":
        return Loop(
            equation,
            of_jaxpr(params["jaxpr"]),
            *_counts_of_scan(params),
            params["length"],
            params["reverse"],
        )
    body = of_jaxpr(params["body_jaxpr"])
    return Loop(
        equation, body, params["body_nconsts"], len(body.outputs), None, reverse=False
    )


def _counts_of_scan(params: Params) -> tuple[int, int]:
    """How many constants it has, and how many parts of its carry."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    # From JAX 0.12 on: a tree of what goes in, of three parts.
    constants, carry, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carry))


def _needed(
    condition: Program, body: Program, num_condition: int, num_constants: int
) -> set[int]:
    """The parts of the carry that the condition depends on."""
    found = set(_sources(condition, condition.outputs[0], num_condition))
    while True:
        more = {
            j
            for i in found
            for j in _sources(body, body.outputs[i], num_constants)
            if j >= 0
        }
        if more <= found:
            return {i for i in found if i >= 0}
        found |= more


def _sources(program: Program, output: Value, start: int) -> list[int]:
    """The inputs that an output depends on, counted from ``start``."""
    return [
        i - start
        for i, value in enumerate(program.inputs)
        if output in program.dependent([value])
    ]


def _scalar(
    program: Program, inputs: Sequence[Numbers | None], index: int
) -> Numbers | None:
    """One result of a program of numbers, or None if it is not known."""
    output = program.outputs[index]
    known = {v: x for v, x in zip(program.inputs, inputs) if x is not None}
    if output in known:
        return known[output]
    if output.constant is not None:
        return scalars.concrete(output.constant)
    for equation in program.equations:
        result = scalars.evaluate([equation], known)
        if result is not None:
            known[equation.outputs[0]] = result
    return known.get(output)
