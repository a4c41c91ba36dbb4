"""Attention in windows as attention among all places of a grid, never written out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from jaxattr.inside.matrices import Matrix
from jaxattr.interpreter.positions import Grid, Positions, of_operand
from jaxattr.interpreter.program import Value
from jaxattr.typing import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Matrices ``(N · windows, heads, t, t)`` whose tokens are the places of a grid.

    The matrix of an image among all its places has zeros between windows.
    """

    grid: Grid
    """Rows and columns."""
    queries: np.ndarray
    """``(windows, t)``, their places in the grid, row by row: each place once."""
    keys: np.ndarray
    """Likewise."""
    order: np.ndarray | None
    """Of windows, such that those of an image follow one another; None if they do."""

    def seen_from(self, row: Array, matrix: Array) -> Array:
        """``row @ matrix`` for a row over the grid ``(N, rows · columns)``.

        Args:
          row: a number for each place.
          matrix: ``(N · windows, t, t)``.
        """
        num_images = row.shape[0]
        if self.order is not None:
            matrix = matrix[self.order]
        matrix = matrix.reshape(num_images, *self.queries.shape, matrix.shape[-1])
        row = _permuted(row, self.queries.ravel())
        row = row.reshape(num_images, *self.queries.shape)
        row = jnp.einsum("nwt,nwts->nws", row, matrix, precision="highest")
        return _permuted(row.reshape(num_images, -1), np.argsort(self.keys, axis=None))


def _permuted(row: Array, order: np.ndarray) -> Array:
    if (order == np.arange(order.size)).all():
        return row
    return row[:, order]


def windows(
    matrix: Matrix, known: Mapping[Value, Positions], num_images: int
) -> tuple[Matrix, Windows] | None:
    """A matrix laid out in windows and where those are.

    None where its queries or its keys are not the places of a grid of features, each
    once.
    """
    queries, keys = known.get(matrix.value), key_ids(matrix, known)
    if queries is None or keys is None:
        return None
    rows, columns = grid = queries.grid
    if known[matrix.product.inputs[matrix.values]].grid != grid:
        return None
    laid_out = matrix.with_leading(leading_axes(matrix, queries.ids, keys))
    axes = laid_out.order[: laid_out.num_leading]
    places = np.stack(
        [
            _along(laid_out, ids, (*axes, own))
            for ids, own in zip((queries.ids, keys), laid_out.order[-2:])
        ]
    )
    every = np.arange(num_images * rows * columns)
    if not all(np.array_equal(np.sort(p, axis=None), every) for p in places):
        return None
    images, places = np.divmod(places, rows * columns)
    if (images != images[:1, :, :1]).any():
        return None
    order = np.argsort(images[0, :, 0], kind="stable")
    places = places[:, order].reshape(2, num_images, -1, places.shape[-1])
    if (places != places[:, :1]).any():
        return None
    in_order = (order == np.arange(order.size)).all()
    first, second = places[:, 0]
    return laid_out, Windows(grid, first, second, None if in_order else order)


def leading_axes(matrix: Matrix, *ids: np.ndarray) -> list[int]:
    """The axes of a matrix along which it has other tokens: images and windows."""
    batch = sorted(matrix.order[:-2])
    return [a for a in batch if any(i.shape[a] > 1 for i in ids)]


def key_ids(matrix: Matrix, known: Mapping[Value, Positions]) -> np.ndarray | None:
    """The places of the keys, in the axes of the matrix."""
    found = of_operand(matrix.product, matrix.values, known)
    if found is None:
        return None
    groups = matrix.product.params["dimension_numbers"]
    shape = [1] * len(matrix.value.shape)
    moves = []
    for group in groups:
        for own, other in zip(group[matrix.values], group[1 - matrix.values]):
            axis = matrix.axes[int(other)]
            if axis is not None:
                moves.append((axis, int(own)))
    for axis, own in moves:
        shape[axis] = found.shape[own]
    order = [own for _, own in sorted(moves)]
    free = [a for a in range(found.ndim) if a not in order]
    return found.transpose(*order, *free).reshape(shape)


def _along(matrix: Matrix, ids: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The places ``(windows of all images, t)``; other axes are of size 1."""
    sizes = [matrix.value.shape[a] for a in axes]
    others = [a for a in range(ids.ndim) if a not in axes]
    ids = ids.transpose(*axes, *others).reshape([ids.shape[a] for a in axes])
    return np.broadcast_to(ids, sizes).reshape(-1, sizes[-1])
