"""Images spread over devices, the same program on each of them.

Images are independent, so a device needs nothing of another: it runs the program of one
device on its share of the images (``shard_map``), with no communication whatever the
method does inside. What an image gets therefore depends on how many images share its
device no more than on how many share a batch.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxattr._checks import fail
from jaxattr.evaluation.runs.programs import Program

T = TypeVar("T")
Rows = TypeVar("Rows", np.ndarray, jax.Array)

Role = Literal["images", "whole"]
"""What an argument of a program is: arrays with a row an image, or the same on every
device."""


class Devices:
    """Where a job computes.

    Args:
      mesh: its devices, whatever its axes; None for where JAX computes by default.
    """

    def __init__(self, mesh: Mesh | None = None) -> None:
        if mesh is not None:
            if not isinstance(mesh, Mesh):
                raise fail("mesh", "a jax.sharding.Mesh, or None", mesh)
            # One axis, and models need not know of it.
            mesh = Mesh(mesh.devices.reshape(-1), "images", axis_types=(AxisType.Auto,))
        self.mesh = mesh
        self.count = 1 if mesh is None else mesh.size

    def whole(self, tree: T) -> T:
        """Arrays on each of the devices."""
        return tree if self.mesh is None else self._put(tree, P())

    def rows(self, tree: object) -> Any:
        """Arrays with a row an image over the devices, filled up with the last row."""
        if self.mesh is None:
            return jax.tree.map(jnp.asarray, tree)
        filled = jax.tree.map(functools.partial(_filled, self.count), tree)
        return self._put(filled, P("images"))

    def share(self, batch_size: int) -> int:
        """Of the model rows in one call on all devices, those on one of them."""
        return max(1, batch_size // self.count)

    def program(
        self, program: Program[..., T], roles: Sequence[Role]
    ) -> Program[..., T]:
        """A jitted function of images as one on all devices.

        Args:
          program: arguments to a pytree of arrays with a row an image; its keyword
            arguments are static.
          roles: of each positional argument.
        """
        if self.mesh is None:
            return program
        return _Spread(program, self.mesh, tuple(roles))

    def _put(self, tree: T, spec: P) -> T:
        assert self.mesh is not None
        return jax.device_put(tree, NamedSharding(self.mesh, spec))


def first_rows(tree: object, count: int) -> Any:
    """Arrays on the host, without the rows that filled them up."""
    return jax.tree.map(lambda x: np.asarray(x)[:count], tree)


def _filled(count: int, array: Rows) -> Rows:
    """With rows of a multiple of ``count``; the last one is repeated."""
    missing = -len(array) % count
    if not missing:
        return array
    return array[np.arange(len(array) + missing).clip(max=len(array) - 1)]


class _Spread(Generic[T]):
    """A program on every device of a mesh; see ``Devices.program``."""

    def __init__(
        self, program: Program[..., T], mesh: Mesh, roles: tuple[Role, ...]
    ) -> None:
        self._how = program, mesh, roles

    def __call__(self, *arguments: object, **static: object) -> T:
        return _run(*self._how, _hashable(static), *arguments)

    def lower(self, *arguments: object, **static: object) -> jax.stages.Lowered:
        return _run.lower(*self._how, _hashable(static), *arguments)


def _hashable(static: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(static.items(), key=lambda option: option[0]))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _run(
    program: Program[..., T],
    mesh: Mesh,
    roles: tuple[Role, ...],
    static: tuple[tuple[str, object], ...],
    *arguments: object,
) -> T:
    specs = {"images": P("images"), "whole": P()}
    return jax.shard_map(
        functools.partial(program, **dict(static)),
        mesh=mesh,
        in_specs=tuple(specs[role] for role in roles),
        out_specs=specs["images"],
        # A user's explainer may begin a loop with zeros that are the same everywhere.
        check_vma=False,
    )(*arguments)
