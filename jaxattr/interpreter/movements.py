"""JAX's primitives that move, repeat or merge numbers, on arrays of labels.

The labels of an array are integers, one for each of its numbers, -1 for none. Along axes
along which they are alike an array of labels has size 1: so it stays as small as the
places it tells of, whatever the number of channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from jaxattr.interpreter.program import Equation, Params, Value
from jaxattr.typing import Array

Labels = np.ndarray
Shape = tuple[int, ...]

REDUCTIONS = frozenset(
    [
        "reduce_sum",
        "reduce_max",
        "reduce_min",
        "reduce_prod",
        "reduce_and",
        "reduce_or",
        "argmax",
        "argmin",
    ]
)


def merged(labels: Labels, axes: Sequence[int]) -> Labels:
    """Along some axes the label that all have, or -1; of size 1 there."""
    axes = [a for a in axes if labels.shape[a] > 1]
    if not axes:
        return labels
    low, high = (f(tuple(axes), keepdims=True) for f in (labels.min, labels.max))
    return np.where(low == high, high, -1)


def reduced(labels: Labels | None, axes: Sequence[int]) -> Labels | None:
    """As ``merged``, without those axes."""
    return None if labels is None else np.squeeze(merged(labels, axes), tuple(axes))


def move(
    equation: Equation,
    operands: Sequence[Labels | None],
    equation_of: Mapping[Value, Equation],
) -> list[Labels | None]:
    """The labels of what a primitive of ``MOVES`` returns, None where not known.

    Args:
      equation: the primitive applied to values.
      operands: the labels of those, None for none.
      equation_of: where indices come from that do not depend on the images.
    """
    nothing: list[Labels | None] = [None] * len(equation.outputs)
    if equation.name in ("concatenate", "stack"):
        return [_joined(equation, operands)]
    if equation.name in ("optimization_barrier", "apart", "sharding_constraint"):
        return list(operands)
    labels, *others = operands
    if labels is None or any(o is not None for o in others):
        return nothing
    if equation.name in _ONE:
        before, after = equation.inputs[0].shape, equation.outputs[0].shape
        return [_ONE[equation.name](labels, equation.params, before, after)]
    if equation.name in ("split", "unstack"):
        return _parts(equation, labels)
    if equation.name in ("gather", "dynamic_slice"):
        return [_indexed(equation, labels, equation_of)]
    return nothing


def _same(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    return labels


def _reshape(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    """Group by group of axes that become each other."""
    wide: list[int] = []
    result: list[int] = []
    i = j = 0
    while i < len(before) or j < len(after):
        first, second = i, j
        left = right = 1
        while i == first or j == second or left != right:
            # Axes of size 1 at the end are a group with nothing on the other side.
            if i < len(before) and (left <= right or j == len(after)):
                left, i = left * before[i], i + 1
            elif j < len(after):
                right, j = right * after[j], j + 1
            else:
                break
        alike = all(n == 1 for n in labels.shape[first:i])
        wide += [1] * (i - first) if alike else before[first:i]
        result += [1] * (j - second) if alike else after[second:j]
    return np.broadcast_to(labels, wide).reshape(result)


def _transpose(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    return labels.transpose([int(a) for a in params["permutation"]])


def _squeeze(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    return labels.squeeze(tuple(int(a) for a in params["dimensions"]))


def _broadcast(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    shape = [1] * len(after)
    for size, axis in zip(labels.shape, params["broadcast_dimensions"]):
        shape[int(axis)] = size
    return labels.reshape(shape)


def _slice(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    strides = params["strides"] or (1,) * len(before)
    cut = zip(params["start_indices"], params["limit_indices"], strides)
    return labels[
        tuple(
            slice(*map(int, ends)) if size > 1 else slice(None)
            for ends, size in zip(cut, labels.shape)
        )
    ]


def _reverse(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels:
    return np.flip(labels, tuple(int(a) for a in params["dimensions"]))


def _pad(labels: Labels, params: Params, before: Shape, after: Shape) -> Labels | None:
    config = [tuple(map(int, ends)) for ends in params["padding_config"]]
    if any(low < 0 or high < 0 or inner for low, high, inner in config):
        return None
    padded = [low > 0 or high > 0 for low, high, _ in config]
    wide = [n if p else s for n, p, s in zip(before, padded, labels.shape)]
    ends = [(low, high) for low, high, _ in config]
    return np.pad(np.broadcast_to(labels, wide), ends, constant_values=-1)


_ONE: dict[str, Callable[[Labels, Params, Shape, Shape], Labels | None]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "rev": _reverse,
    "pad": _pad,
    **dict.fromkeys(
        ["copy", "copy_p", "mesh_cast", "reshard", "pvary", "pcast", "device_put"],
        _same,
    ),
}


def _joined(equation: Equation, operands: Sequence[Labels | None]) -> Labels:
    """Of arrays one after another; those without labels have -1."""
    stacks = equation.name == "stack"
    axis = int(equation.params["axis" if stacks else "dimension"])
    rank = len(equation.inputs[0].shape)
    arrays = [np.full([1] * rank, -1) if o is None else o for o in operands]
    shape = np.max([a.shape for a in arrays], axis=0) if rank else ()
    parts = []
    for array, value in zip(arrays, equation.inputs):
        wide = [int(n) for n in shape]
        if stacks:
            parts.append(np.expand_dims(np.broadcast_to(array, wide), axis))
        else:
            wide[axis] = value.shape[axis]
            parts.append(np.broadcast_to(array, wide))
    return np.concatenate(parts, axis)


def _parts(equation: Equation, labels: Labels) -> list[Labels | None]:
    axis = int(equation.params["axis"])
    count = len(equation.outputs)
    if labels.shape[axis] == 1:
        parts = [labels] * count
    elif equation.name == "split":
        ends = np.cumsum([int(n) for n in equation.params["sizes"]])[:-1]
        parts = np.split(labels, ends, axis)
    else:
        parts = np.split(labels, count, axis)
    if equation.name == "unstack":
        parts = [np.squeeze(p, axis) for p in parts]
    return [*parts]


def _indexed(
    equation: Equation, labels: Labels, equation_of: Mapping[Value, Equation]
) -> Labels | None:
    """By indices that are known while tracing."""
    value, *places = equation.inputs
    indices = _all_concrete(places, equation_of)
    if indices is None:
        return None
    with jax.ensure_compile_time_eval():
        # In the type of the value, as what is beyond its bounds becomes NaN there.
        wide = np.broadcast_to(labels, value.shape).astype(np.float32)
        (result,) = equation(jax.numpy.asarray(wide), *indices)
    return np.nan_to_num(np.asarray(result), nan=-1).astype(int)


def _concrete(value: Value, equation_of: Mapping[Value, Equation]) -> Array | None:
    """What does not depend on traced arrays, else None."""
    if value.constant is not None:
        return None if isinstance(value.constant, jax.core.Tracer) else value.constant
    equation = equation_of.get(value)
    if equation is None:
        return None
    inputs = _all_concrete(equation.inputs, equation_of)
    if inputs is None:
        return None
    with jax.ensure_compile_time_eval():
        results = equation(*inputs)
    return results[equation.outputs.index(value)]


def _all_concrete(
    values: Sequence[Value], equation_of: Mapping[Value, Equation]
) -> list[Array] | None:
    """All of them, or None if one of them depends on traced arrays."""
    found = [_concrete(v, equation_of) for v in values]
    known = [array for array in found if array is not None]
    return known if len(known) == len(found) else None
