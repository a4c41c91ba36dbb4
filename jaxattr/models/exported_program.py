"""A program that ``jax.export`` wrote: run in groups of rows, with its derivatives."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import export, lax

from jaxattr.checkpoints.exported_file import orders
from jaxattr.typing import Array

Arrays = tuple[Array, ...]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Program:
    """A program and the file that it came from; equal where the programs are."""

    exported: export.Exported
    path: str
    digest: str
    """Of the program and its derivatives."""

    @property
    def images(self) -> jax.core.ShapedArray:
        """Shape and dtype of what it takes; a dimension may be a symbol."""
        return self.exported.in_avals[0]

    @property
    def vjp_order(self) -> int:
        """How many times it can be differentiated."""
        return len(list(orders(self.exported))) - 1

    @functools.cached_property
    def call(self) -> Callable[[Array], Array]:
        """The program, differentiable as often as the file has derivatives."""
        function = _differentiable(self.exported, self.path, 0)
        return lambda images: function(images)[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        # Part of a model's structure, by which results of a run are told apart.
        return f"Program({self.digest})"


def _differentiable(
    exported: export.Exported, path: str, order: int
) -> Callable[..., Arrays]:
    """A program of arrays ``(N, ...)`` to such, with the derivatives that it has.

    ``Exported.call`` differentiates by itself, but has neither a rule for ``vmap`` nor an
    error that says what to do.
    """

    @jax.custom_batching.custom_vmap
    def run(*arrays: Array) -> Arrays:
        return _by_rows(exported, arrays)

    @run.def_vmap  # type: ignore[untyped-decorator]
    def _(
        axis_size: int, are_batched: list[bool], *arrays: Array
    ) -> tuple[Arrays, tuple[bool, ...]]:
        # Rows are independent: an axis more is more of them.
        merged = []
        for array, is_batched in zip(arrays, are_batched, strict=True):
            if not is_batched:
                array = jnp.broadcast_to(array[None], (axis_size, *array.shape))
            merged.append(array.reshape(-1, *array.shape[2:]))
        results = run(*merged)
        return (
            tuple(r.reshape(axis_size, -1, *r.shape[1:]) for r in results),
            (True,) * len(results),
        )

    if not exported.has_vjp():
        return _undifferentiable(run, path, order)
    derivative = _differentiable(exported.vjp(), path, order + 1)

    @jax.custom_vjp
    def call(*arrays: Array) -> Arrays:
        return run(*arrays)

    def forward(*arrays: Array) -> tuple[Arrays, Arrays]:
        return call(*arrays), arrays

    def backward(arrays: Arrays, cotangents: Arrays) -> Arrays:
        return derivative(*arrays, *cotangents)

    call.defvjp(forward, backward)
    return call


def _undifferentiable(
    run: Callable[..., Arrays], path: str, order: int
) -> Callable[..., Arrays]:
    @jax.custom_jvp
    def call(*arrays: Array) -> Arrays:
        return run(*arrays)

    @call.defjvp
    def _(primals: Arrays, tangents: Arrays) -> tuple[Arrays, Arrays]:
        has = f"derivatives of order {order} only" if order else "no derivatives"
        raise ValueError(
            f"model: {path} has {has}, and this method needs order {order + 1}: export "
            f"it with jaxattr.models.export(model, path, vjp_order={order + 1}), or "
            f"write what jax.export.export(...).serialize(vjp_order={order + 1}) gives"
        )

    return call


def _by_rows(exported: export.Exported, arrays: Arrays) -> Arrays:
    """The program, in groups of as many rows as it takes."""
    size = exported.in_avals[0].shape[0]
    rows = arrays[0].shape[0]
    if not isinstance(size, int) or size == rows:
        return _call(exported, arrays)
    groups = -(-rows // size)
    grouped = []
    for array in arrays:
        margin = [(0, groups * size - rows), *[(0, 0)] * (array.ndim - 1)]
        grouped.append(jnp.pad(array, margin).reshape(groups, size, *array.shape[1:]))
    results = lax.map(lambda group: _call(exported, group), tuple(grouped))
    return tuple(r.reshape(groups * size, *r.shape[2:])[:rows] for r in results)


def _call(exported: export.Exported, arrays: Arrays) -> Arrays:
    args, kwargs = jax.tree.unflatten(exported.in_tree, arrays)
    results = tuple(jax.tree.leaves(exported.call(*args, **kwargs)))
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return results
    # Inside shard_map the program does not say that its results vary as the rows do.
    return tuple(
        r + lax.full_like(arrays[0], 0, r.dtype, shape=r.shape) for r in results
    )
