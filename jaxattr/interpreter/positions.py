"""Where in a grid of places each number inside a function stands.

Attention in windows cuts features ``(N, h, w, C)`` into groups of tokens by reshaping,
transposing, rolling and indexing. The place of each token is found by doing the same to
the numbers of the places, whatever way a model cuts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxattr.interpreter.movements import REDUCTIONS, merged, move, reduced
from jaxattr.interpreter.primitives import ELEMENTWISE, MOVES
from jaxattr.interpreter.program import Equation, Program, Value

Grid = tuple[int, int]
"""Rows and columns."""


class Positions(NamedTuple):
    """The places of the numbers of a value."""

    grid: Grid
    ids: np.ndarray
    """``(image · rows + row) · columns + column``, or -1 for a number that comes from no
    place or from several; of size 1 along axes along which they are alike."""


def positions(
    program: Program,
    aspect: Grid,
    softmaxes: Mapping[Value, int],
    products: Mapping[Equation, int],
) -> dict[Value, Positions]:
    """The positions of all values of a function of images that have some.

    A number that is made of numbers of one place stands there. Where places are mixed (by
    convolutions, pooling, patches) a value ``(N, h, w, C)`` or ``(N, C, h, w)`` is laid
    out as the image if it has its aspect, and has a grid of its own. What attention
    returns stands where its queries stand, as with its residual connection.

    Args:
      program: of images ``(N, H, W, C)``.
      aspect: height and width in the proportion of the grids.
      softmaxes: the attention matrices, and the axis of their keys.
      products: those of the matrices with values, and which operand the values are.

    Returns:
      By value. An attention matrix has the places of its queries.
    """
    (images,) = program.inputs
    num_images, height, width = images.shape[:3]
    active = program.dependent(program.inputs)
    known = {images: _laid_out((height, width), num_images, (1, 2), 4)}
    equation_of = {v: e for e in program.equations for v in e.outputs}
    for equation in program.equations:
        here = [v in active for v in equation.inputs]
        if not any(here):
            continue
        if equation in products:
            here[products[equation]] = False
        results = _results(equation, here, known, equation_of)
        for value, found in zip(equation.outputs, results, strict=True):
            if value in softmaxes:
                found = _of_queries(
                    program, value, softmaxes[value], known, active, equation_of
                )
            elif (
                found is None
                and equation not in products
                and _may_begin(equation, value, here, num_images, known)
            ):
                found = _begun(value, num_images, aspect)
            if found is not None:
                known[value] = found
    return known


def of_operand(
    product: Equation, side: int, known: Mapping[Value, Positions]
) -> np.ndarray | None:
    """Of the values of a product, the places, -1 where they differ along free axes.

    In the axes of the operand, of which the free ones are of size 1.
    """
    found = known.get(product.inputs[side])
    if found is None:
        return None
    contracted, batch = product.params["dimension_numbers"]
    kept = [int(a) for a in (*contracted[side], *batch[side])]
    return merged(found.ids, [a for a in range(found.ids.ndim) if a not in kept])


def _results(
    equation: Equation,
    here: Sequence[bool],
    known: Mapping[Value, Positions],
    equation_of: Mapping[Value, Equation],
) -> list[Positions | None]:
    """Of what an equation returns; ``here`` says which operands count."""
    nothing: list[Positions | None] = [None] * len(equation.outputs)
    operands = [known.get(v) if h else None for v, h in zip(equation.inputs, here)]
    counted = [p for p, h in zip(operands, here) if h]
    grids = {p.grid for p in counted if p is not None}
    if len(grids) != 1:
        return nothing
    name = equation.name
    ids = [None if p is None else p.ids for p in operands]
    found: Sequence[np.ndarray | None]
    if name in MOVES:
        found = move(equation, ids, equation_of)
    elif any(p is None for p in counted):
        return nothing
    elif name in ELEMENTWISE:
        found = [_agreed([i for i in ids if i is not None])]
    elif name in REDUCTIONS:
        found = [reduced(ids[0], [int(a) for a in equation.params["axes"]])]
    elif name == "dot_general" and len(counted) == 1:
        found = [_multiplied(equation, here.index(True), ids)]
    else:
        return nothing
    (grid,) = grids
    return [
        Positions(grid, i) if i is not None and (i >= 0).any() else None for i in found
    ]


def _agreed(ids: Sequence[np.ndarray]) -> np.ndarray:
    first, *others = ids
    for other in others:
        first = np.where(first == other, first, -1)
    return first


def _multiplied(
    equation: Equation, side: int, ids: Sequence[np.ndarray | None]
) -> np.ndarray | None:
    """Of a product with what has no places."""
    own = ids[side]
    if own is None:
        return None
    contracted, batch = (
        [[int(a) for a in axes] for axes in group]
        for group in equation.params["dimension_numbers"]
    )
    own = merged(own, contracted[side])
    free = [
        [
            a
            for a in range(len(value.shape))
            if a not in contracted[i] and a not in batch[i]
        ]
        for i, value in enumerate(equation.inputs)
    ]
    own = own.transpose([*batch[side], *free[side], *contracted[side]])
    shape = list(own.shape[: len(batch[side]) + len(free[side])])
    ones = [1] * len(free[1 - side])
    start = len(batch[0]) if side == 1 else len(shape)
    return own.reshape(*shape[:start], *ones, *shape[start:])


def _of_queries(
    program: Program,
    value: Value,
    keys: int,
    known: Mapping[Value, Positions],
    active: Collection[Value],
    equation_of: Mapping[Value, Equation],
) -> Positions | None:
    """The places of the queries of an attention matrix.

    Both operands of the product before the softmax come from places: those that are
    alike along the keys are the queries.
    """
    product = equation_of[value]
    while product.name != "dot_general" or sum(v in active for v in product.inputs) < 2:
        before = next(v for v in product.inputs if v in active)
        if before not in equation_of:
            return None
        product = equation_of[before]
    start = program.equations.index(product)
    stop = program.equations.index(equation_of[value]) + 1
    for side in range(2):
        found: dict[Value, Positions] = {}
        behind = set(product.outputs)
        here = [i == side for i in range(2)]
        (first,) = _results(product, here, known, equation_of)
        if first is None:
            continue
        found[product.outputs[0]] = first
        for equation in program.equations[start + 1 : stop]:
            here = [v in behind for v in equation.inputs]
            if any(here):
                behind.update(equation.outputs)
                results = _results(equation, here, found, equation_of)
                found |= {
                    v: p for v, p in zip(equation.outputs, results) if p is not None
                }
        result = found.get(value)
        if result is not None and result.ids.shape[keys] == 1:
            return result
    return None


def _may_begin(
    equation: Equation,
    value: Value,
    here: Sequence[bool],
    num_images: int,
    known: Mapping[Value, Positions],
) -> bool:
    """Whether an equation may return features of another grid.

    No rearrangement of mixed numbers does, but for tokens ``(N, T, C)`` that are laid out.
    """
    inputs = [v for v, h in zip(equation.inputs, here) if h]
    if not value.is_float:
        return False
    if equation.name == "reshape":
        before = inputs[0].shape
        return len(before) == 3 and before[::2] == value.shape[::3]
    if equation.name in MOVES:
        return False
    if equation.name in ELEMENTWISE:
        return any(v in known for v in inputs)
    if equation.name == "dot_general" and len(inputs) > 1:
        return False
    return any(len(v.shape) >= 4 and v.shape[0] == num_images for v in inputs)


def _begun(value: Value, num_images: int, aspect: Grid) -> Positions | None:
    """Of features that are laid out as the image."""
    if len(value.shape) != 4 or value.shape[0] != num_images:
        return None
    for axes in ((1, 2), (2, 3)):
        rows, columns = value.shape[axes[0]], value.shape[axes[1]]
        # Both sides divided by one number and rounded, to one row or column.
        misfit = abs(rows * aspect[1] - columns * aspect[0])
        if rows * columns > 1 and misfit < max(aspect):
            return _laid_out((rows, columns), num_images, axes, 4)
    return None


def _laid_out(
    grid: Grid, num_images: int, axes: tuple[int, int], rank: int
) -> Positions:
    shape = [1] * rank
    shape[0], shape[axes[0]], shape[axes[1]] = num_images, *grid
    return Positions(grid, np.arange(num_images * grid[0] * grid[1]).reshape(shape))
