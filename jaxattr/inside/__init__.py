"""The intermediate values of any function: their names, their values, others instead.

A value has the name of the ``jax.named_scope`` that it leaves, or of its
``jax.ad_checkpoint.checkpoint_name``, or else its place: ``"conv_general_dilated.2"`` is
what the third such layer of the function returns, bias and batch norm included. The
models of ``jaxattr.models`` name their layers as ``model.layers`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxattr._checks import check_choice, fail
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.nodes import LINEAR, Reading
from jaxattr.interpreter.program import Program, Value, scopes, trace
from jaxattr.typing import Array, LogitsFn, Score, ScoreFn

__all__ = ["capture", "names", "neuron", "replace"]

Result = TypeVar("Result")
"""What a function of images returns: a pytree of arrays."""
Replacement = ArrayLike | Callable[[Array], Array]
"""A value, or a function of the one that is there."""


def names(
    fn: Callable[[Array], object], images: Array | jax.ShapeDtypeStruct
) -> dict[str, jax.ShapeDtypeStruct]:
    """The names of a function's intermediate values, with their shapes, in order.

    Args:
      fn: of images ``(N, H, W, C)``, any JAX function.
      images: an array, or ``jax.ShapeDtypeStruct``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> weights = jnp.ones((3, 2))
      >>> def fn(x):
      ...     with jax.named_scope("block"):
      ...         x = jnp.tanh(x @ weights)
      ...     return jnp.sum(x, (1, 2))
      >>> {name: value.shape for name, value in
      ...  ja.inside.names(fn, jnp.ones((1, 4, 4, 3))).items()}
      {'dot_general.0': (1, 4, 4, 2), 'block': (1, 4, 4, 2)}
    """
    program, _ = trace(fn, images)
    return {
        name: jax.ShapeDtypeStruct(value.shape, value.dtype)
        for name, value in named_values(program).items()
    }


def capture(
    fn: Callable[[Array], Result], names: Sequence[str]
) -> Callable[[Array], tuple[Result, dict[str, Array]]]:
    """The function with some of its intermediate values.

    Args:
      fn: of images ``(N, H, W, C)``.
      names: of values, as ``names`` has them.

    Returns:
      ``images -> (fn(images), {name: value})``, a pure function.

    Raises:
      ValueError: when called, for a name that the function does not have (the message
        has the nearest).

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def fn(x):
      ...     with jax.named_scope("double"):
      ...         x = 2 * x
      ...     return jnp.sum(x)
      >>> result, values = ja.inside.capture(fn, ["double"])(jnp.ones(3))
      >>> result, values["double"]
      (Array(6., dtype=float32), Array([2., 2., 2.], dtype=float32))
    """
    asked = _checked_names(names)

    def captured(images: Array) -> tuple[Result, dict[str, Array]]:
        program, structure = trace(fn, images)
        values = {name: _value(program, name) for name in asked}
        wanted = Program(
            program.inputs, [*program.outputs, *values.values()], program.equations
        )
        results = wanted(images)
        returned = jax.tree.unflatten(structure, results[: len(program.outputs)])
        return returned, dict(zip(asked, results[len(program.outputs) :], strict=True))

    return captured


def replace(
    fn: Callable[[Array], Result], replacements: Mapping[str, Replacement]
) -> Callable[[Array], Result]:
    """The function with other values in the place of some intermediate ones.

    Args:
      fn: of images ``(N, H, W, C)``.
      replacements: by name, an array of the value's shape or a function of the value.

    Returns:
      ``images -> fn(images)``, a pure function.

    Raises:
      ValueError: when called, for a name that the function does not have, or a value of
        another shape.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def fn(x):
      ...     with jax.named_scope("double"):
      ...         x = 2 * x
      ...     return jnp.sum(x)
      >>> ja.inside.replace(fn, {"double": lambda value: value + 1})(jnp.ones(3))
      Array(9., dtype=float32)
    """
    asked = _checked_names(list(replacements))

    def replaced(images: Array) -> Result:
        program, structure = trace(fn, images)
        instead = {_value(program, name): (name, replacements[name]) for name in asked}
        known = dict(zip(program.inputs, [images], strict=True))
        for equation in program.equations:
            arguments = [known.get(v, v.constant) for v in equation.inputs]
            known |= zip(equation.outputs, equation(*arguments), strict=True)
            for value in equation.outputs:
                if value in instead:
                    known[value] = _instead(*instead[value], known[value])
        results = [known.get(v, v.constant) for v in program.outputs]
        return jax.tree.unflatten(structure, results)

    return replaced


def neuron(name: str, index: int | tuple[int, ...]) -> Score:
    """A score: one number of an intermediate value, so any method explains that neuron.

    Args:
      name: of the value ``(N, ...)``, as ``names`` has it.
      index: of the neuron in the value of one image; an integer is a channel, of which
        the sum over places is taken.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def fn(x):
      ...     with jax.named_scope("cubes"):
      ...         x = x**3
      ...     return jnp.sum(x, (1, 2))
      >>> images, labels = jnp.ones((1, 1, 1, 2)), jnp.array([0])
      >>> score = ja.inside.neuron("cubes", (0, 0, 1))
      >>> ja.saliency(fn, images, labels, score=score).ravel()
      Array([0., 3.], dtype=float32)
    """

    def factory(logits_fn: LogitsFn, labels: Array) -> ScoreFn:
        def score_fn(images: Array) -> Array:
            value = capture(logits_fn, [name])(images)[1][name]
            if isinstance(index, int):
                return jnp.sum(value[..., index].reshape(value.shape[0], -1), -1)
            if len(index) != value.ndim - 1:
                raise fail("index", f"{value.ndim - 1} integers for {name}", index)
            return value[(slice(None), *index)]

        return score_fn

    return factory


def head(logits_fn: LogitsFn, name: str, images: Array) -> LogitsFn:
    """From the value of a name to the logits, for these images."""
    return lambda value: replace(logits_fn, {name: value})(images)


def _checked_names(asked: Sequence[str]) -> list[str]:
    if isinstance(asked, str):
        asked = [asked]
    for name in asked:
        if not isinstance(name, str):
            raise fail("names", "names of values", name)
    return list(asked)


def _instead(name: str, replacement: Replacement, value: Array) -> Array:
    given = replacement(value) if callable(replacement) else jnp.asarray(replacement)
    if given.shape != value.shape:
        raise fail(name, f"a value {value.shape}", given)
    return given.astype(value.dtype)


def _value(program: Program, name: str) -> Value:
    found = named_values(program)
    check_choice("name", name, found)
    return found[name]


def named_values(program: Program) -> dict[str, Value]:
    """Values by name, in the order in which they are computed."""
    active = program.dependent(program.inputs)
    found: dict[str, Value] = {}
    last: dict[str, tuple[int, Value]] = {}
    for i, equation in enumerate(program.equations):
        values = [v for v in equation.outputs if v in active and v.is_float]
        if not values:
            continue
        if equation.name == "name":
            found[equation.params["name"]] = values[-1]
        for scope in scopes(equation.scope):
            last[scope] = i, values[-1]
    places: list[tuple[int, str, Value]] = []
    order = {v: i for i, e in enumerate(program.equations) for v in e.outputs}
    counts: dict[str, int] = {}
    for value, primitive in _linear_results(program):
        number = counts.get(primitive, 0)
        counts[primitive] = number + 1
        places.append((order[value], f"{primitive}.{number}", value))
    places += [(order[v], name, v) for name, v in found.items()]
    places += [(i, scope, v) for scope, (i, v) in last.items()]
    return {name: value for _, name, value in sorted(places, key=lambda p: p[0])}


def _linear_results(program: Program) -> list[tuple[Value, str]]:
    """What linear layers with weights return, and the primitives that they are."""
    layers = graph(program, program.inputs, Reading())
    ends: dict[Value, tuple[Value, str]] = {}
    for node in layers.nodes:
        if node.kind in LINEAR:  # a longer one takes the place of its beginning
            first = node.equations[0]
            ends[first.outputs[0]] = node.outputs[0], first.name
    return list(ends.values())
