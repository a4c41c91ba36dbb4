"""From what is known of a score back to the images, layer by layer.

What is carried backwards is a gradient, a relevance or a multiplier; which of them is
the business of the rules. A value that is used several times gets the sum of what its
uses give it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxattr.interpreter import loops
from jaxattr.interpreter.evaluation import Evaluation
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.layer import Layer
from jaxattr.interpreter.nodes import Node, Reading
from jaxattr.interpreter.program import Program, Value, of_jaxpr
from jaxattr.typing import Array

T = TypeVar("T")
Arrays = list[Array]
Rule = Callable[[Layer, tuple[Array, ...]], Sequence[Array]]
"""What a layer's inputs get, given the layer and what its results have.

One array for each of ``layer.inputs``, of its shape.
"""

Rules = Callable[[Node], Rule]
"""Which rule stands where."""


def pull(
    evaluation: Evaluation,
    carried: Sequence[Array | None],
    rules: Rules,
    reading: Reading,
) -> list[Array | None]:
    """What the program's inputs get, given what its outputs have.

    Args:
      evaluation: of the program.
      carried: one array for each output, None for nothing.
      rules: which rule stands where.
      reading: how the programs inside are read.

    Returns:
      One array for each input; None for one that nothing came back to.
    """
    program = evaluation.graph.program
    found: dict[Value, Array] = {}

    def add(value: Value, array: Array) -> None:
        array = array.astype(value.dtype)
        found[value] = found[value] + array if value in found else array

    for value, array in zip(program.outputs, carried, strict=True):
        if array is not None and value in evaluation.graph.active:
            add(value, array)
    for node in reversed(evaluation.graph.nodes):
        if not any(v in found for v in node.outputs):
            continue
        given = tuple(
            found.pop(v) if v in found else jnp.zeros_like(evaluation.read(v))
            for v in node.outputs
        )
        results: Sequence[Array | None]
        if node.kind in _INSIDE:
            results = _INSIDE[node.kind](evaluation, node, given, rules, reading)
        else:
            layer = layer_of(evaluation, node)
            results = rules(node)(layer, given)
        for value, array in zip(node.inputs, results, strict=True):
            if array is not None and value.is_float:
                add(value, array)
    return [found.get(v) for v in program.inputs]


def layer_of(evaluation: Evaluation, node: Node) -> Layer:
    """A layer where it has been evaluated."""

    def images(pixels: ArrayLike) -> Array:
        inputs = [
            jnp.broadcast_to(jnp.asarray(pixels, v.dtype), v.shape)
            if v in evaluation.graph.active
            else evaluation.read(v)
            for v in evaluation.graph.program.inputs
        ]
        return evaluation.again(node.inputs[0], inputs)

    return Layer(node, evaluation.reread, images)


def _program(
    program: Program,
    flags: Sequence[bool],
    points: Sequence[Sequence[Array]],
    carried: Sequence[Array | None],
    rules: Rules,
    reading: Reading,
    raw: Sequence[bool] = (),
) -> list[Array | None]:
    """A program inside of another: evaluated again and pulled back."""
    active = [v for v, f in zip(program.inputs, flags) if f]
    raw_values = [v for v, f in zip(program.inputs, raw) if f]
    inner = Evaluation(graph(program, active, reading, raw_values), points)
    return pull(inner, carried, rules, reading)


def _zeros_for(values: Sequence[Array | None], arrays: Sequence[Array]) -> list[Array]:
    return [
        jnp.zeros_like(a) if b is None else b
        for a, b in zip(arrays, values, strict=True)
    ]


def _through_loop(
    evaluation: Evaluation,
    node: Node,
    given: tuple[Array, ...],
    rules: Rules,
    reading: Reading,
) -> list[Array | None]:
    """Backwards step by step; a step is evaluated again from what entered it."""
    equation = node.last
    loop = loops.loop(equation)
    active = evaluation.graph.active
    values = loop.split(equation.inputs)
    points = range(evaluation.points)
    arrays = [
        loop.split([evaluation.read(v, i) for v in equation.inputs]) for i in points
    ]
    flags = [[v in active for v in group] for group in values]
    while True:  # until no more of the carry depends on the images
        body = loop.body
        starts = [v for v, f in zip(body.inputs, _joined(flags)) if f]
        dependent = body.dependent(starts)
        carry = [
            f or v in dependent
            for f, v in zip(flags[1], body.outputs[: loop.num_carry])
        ]
        if carry == flags[1]:
            break
        flags[1] = carry
    floats = [[v.is_float for v in group] for group in values]
    counts = [f and x for f, x in zip(flags[1], floats[1])]
    num_carry = loop.num_carry
    carries = evaluation.carries[equation]

    def step(
        carried: tuple[Arrays, Arrays], xs: tuple[Arrays, list[Arrays], list[Arrays]]
    ) -> tuple[tuple[Arrays, Arrays], Arrays]:
        after, totals = carried
        outputs, stepped, before = xs
        at = [[*arrays[i][0], *before[i], *stepped[i]] for i in points]
        results = _program(
            loop.body,
            _joined(flags),
            at,
            [a if c else None for a, c in zip(after, counts)] + list(outputs),
            rules,
            reading,
        )
        constants, entered, inputs = (
            results[: loop.num_constants],
            results[loop.num_constants :][:num_carry],
            results[loop.num_constants + num_carry :],
        )
        totals = [
            t if c is None else t + c for t, c in zip(totals, constants, strict=True)
        ]
        carried_on = _zeros_for(entered, before[0])
        return (carried_on, totals), _zeros_for(inputs, stepped[0])

    after = list(given[:num_carry])
    after = [
        a if c else jnp.zeros_like(x) for a, c, x in zip(after, counts, arrays[0][1])
    ]
    totals = [
        jnp.zeros_like(a) if x else jnp.zeros((), jnp.float32)
        for a, x in zip(arrays[0][0], floats[0])
    ]
    xs = (
        list(given[num_carry:]),
        [arrays[i][2] for i in points],
        [carries[i] for i in points],
    )
    (entered, totals), inputs = jax.lax.scan(
        step, (after, totals), xs, reverse=not loop.reverse
    )
    return _for_inputs(node, _joined(values), [*totals, *entered, *inputs])


def _joined(groups: Sequence[Sequence[T]]) -> list[T]:
    return [member for group in groups for member in group]


def _for_inputs(
    node: Node, values: Sequence[Value], arrays: Sequence[Array | None]
) -> list[Array | None]:
    """Sums over the places at which a value is given to an equation."""
    totals: dict[Value, Array] = {}
    for value, array in zip(values, arrays, strict=True):
        if value in node.inputs and value.is_float and array is not None:
            totals[value] = totals[value] + array if value in totals else array
    return [totals.get(v) for v in node.inputs]


def _through_branches(
    evaluation: Evaluation,
    node: Node,
    given: tuple[Array, ...],
    rules: Rules,
    reading: Reading,
) -> list[Array | None]:
    """Back through the branch that was taken."""
    equation = node.last
    index, *operands = equation.inputs
    active = evaluation.graph.active
    if index in active and evaluation.points > 1:
        raise ValueError(
            f"logits_fn: the branch of a cond ({equation.line}) depends on the images, "
            "and two images may take different ones; choose with jnp.where"
        )
    flags = [v in active for v in operands]
    raw = [v in evaluation.graph.raw for v in operands]
    points = [
        [evaluation.read(v, i) for v in operands] for i in range(evaluation.points)
    ]

    def back(branch: Program) -> Callable[[list[Arrays], Arrays], Arrays]:
        def run(points: list[Arrays], given: Arrays) -> Arrays:
            results = _program(branch, flags, points, given, rules, reading, raw)
            return [
                jnp.zeros_like(a) if r is None else r
                for r, a, v in zip(results, points[0], operands)
                if v.is_float
            ]

        return run

    branches = [back(of_jaxpr(b)) for b in equation.params["branches"]]
    where = jnp.asarray(evaluation.read(index)).astype(jnp.int32)
    results = iter(jax.lax.switch(where, branches, points, list(given)))
    arrays = [next(results) if v.is_float else None for v in operands]
    return _for_inputs(node, operands, arrays)


def _through_shards(
    evaluation: Evaluation,
    node: Node,
    given: tuple[Array, ...],
    rules: Rules,
    reading: Reading,
) -> list[Array | None]:
    """Back through a ``shard_map`` by another one."""
    equation, params = node.last, node.last.params
    body = of_jaxpr(params["jaxpr"])
    active, values = evaluation.graph.active, equation.inputs
    flags = [v in active for v in values]
    kept = [i for i, v in enumerate(values) if v in active and v.is_float]
    raw = [v in evaluation.graph.raw for v in values]
    points = [[evaluation.read(v, i) for v in values] for i in range(evaluation.points)]

    def back(points: list[Arrays], given: Arrays) -> Arrays:
        results = _program(body, flags, points, given, rules, reading, raw)
        return [
            jnp.zeros_like(points[0][i]) if (result := results[i]) is None else result
            for i in kept
        ]

    specs, out_specs = list(params["in_specs"]), list(params["out_specs"])
    results = jax.shard_map(
        back,
        mesh=params["mesh"],
        in_specs=([specs] * len(points), out_specs),
        out_specs=[specs[i] for i in kept],
        axis_names=set(params["newly_manual_axes"]),
        check_vma=params["check_vma"],
    )(points, list(given))
    return _for_inputs(node, [values[i] for i in kept], results)


_INSIDE: dict[str, Callable[..., list[Array | None]]] = {
    "scan": _through_loop,
    "while": _through_loop,
    "cond": _through_branches,
    "shard_map": _through_shards,
}
