"""Products with weights: which equations are linear, and where their channels are."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from jaxattr.interpreter.program import Equation, Value
from jaxattr.typing import Array


def is_linear(equation: Equation, values: Sequence[Value]) -> bool:
    """Whether an equation has a transpose in some of its inputs."""
    if not all(v.is_float for v in equation.outputs):
        return False

    def function(*arguments: Array) -> list[Array]:
        given = dict(zip(values, arguments))
        with jax.named_scope("linear"):
            return equation(*(given.get(v, _stand_in(v)) for v in equation.inputs))

    try:
        shapes = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in values]
        out = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in equation.outputs]
        jax.eval_shape(lambda o: jax.linear_transpose(function, *shapes)(o), out)
    except Exception:  # whatever a primitive raises that cannot be transposed
        return False
    return True


def _stand_in(value: Value) -> Array:
    return jax.numpy.ones(value.shape, value.dtype)


def is_convolution(equation: Equation, images: Value) -> bool:
    """A product over places too, or of images ``(N, H, W, I)`` with a matrix."""
    if equation.name != "dot_general":
        return True
    (left, right), _ = equation.params["dimension_numbers"]
    contracted = left if equation.inputs[0] is images else right
    return len(images.shape) - len(contracted) >= 3


def is_average(equation: Equation, weight: Value, images: Value) -> bool:
    """Means over places by a matrix that is known, as adaptive pooling has it.

    Its weights are not negative and sum to one, and it is no layer that has learnt.
    """
    if equation.name != "dot_general" or not is_convolution(equation, images):
        return False
    contracted, batch = equation.params["dimension_numbers"]
    side = 1 if equation.inputs[1] is weight else 0
    known = weight.constant
    if known is None or isinstance(known, jax.core.Tracer) or len(batch[side]):
        return False
    matrix = np.asarray(known, np.float64)
    sums = matrix.sum(tuple(int(a) for a in contracted[side]))
    return bool((matrix >= 0).all()) and bool(np.allclose(sums, 1, rtol=0, atol=1e-6))


def moved(axes: Sequence[int], equation: Equation) -> list[int] | None:
    """Where axes are after a reshape, None where they are merged or split."""
    before, after = equation.inputs[0].shape, equation.outputs[0].shape
    if equation.name == "transpose":
        order = [int(a) for a in equation.params["permutation"]]
        return [order.index(a) for a in axes]
    kept, there = (
        [i for i, n in enumerate(shape) if n != 1] for shape in (before, after)
    )
    if [before[i] for i in kept] != [after[i] for i in there]:
        return None
    return [there[kept.index(a)] for a in axes if a in kept]


def channels(
    equation: Equation, weight: Value
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of the weights that are channels of the result, and those there."""
    rank = len(equation.outputs[0].shape)
    if equation.name == "dot_general":
        contracted, batch = equation.params["dimension_numbers"]
        side = 1 if equation.inputs[1] is weight else 0
        taken = {int(a) for a in (*contracted[side], *batch[side])}
        free = tuple(i for i in range(len(weight.shape)) if i not in taken)
        start = len(batch[side]) if side == 0 else rank - len(free)
        return free, tuple(range(start, start + len(free)))
    if equation.name == "conv_general_dilated":
        numbers = equation.params["dimension_numbers"]
        return (int(numbers.rhs_spec[0]),), (int(numbers.out_spec[1]),)
    # Other convolutions have channels last, as this package's have.
    last = len(weight.shape) - 1
    if weight.shape[-1:] == equation.outputs[0].shape[-1:]:
        return (last,), (rank - 1,)
    return (), ()
