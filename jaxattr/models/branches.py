"""Convolutions side by side, concatenated: the modules of GoogLeNet and Inception-v3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx

from jaxattr.convolutions.padding import Padding
from jaxattr.models.activations import Activation
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.layers import Conv, Linear
from jaxattr.typing import Array


class Unit(NamedTuple):
    """A convolution: its name in torchvision, width, window, stride and padding."""

    name: str
    outputs: int
    window: int | tuple[int, int] = 1
    stride: int = 1
    padding: Padding = "symmetric"


class Fork(NamedTuple):
    """Convolutions on the same input, side by side."""

    units: tuple[Unit, ...]


Branch = tuple["Unit | Fork | Callable[[Array], Array]", ...]
"""What is applied one after the other; a function has no parameters."""


class Branches(nnx.Module):
    """Branches side by side, concatenated; an activation after every convolution."""

    def __init__(
        self, inputs: int, branches: tuple[Branch, ...], activation: Activation
    ):
        self.branches, self.activation = branches, activation
        outputs = 0
        for branch in branches:
            channels = inputs
            for part in branch:
                units = _units(part)
                for unit in units:
                    setattr(self, unit.name, _layer(channels, unit))
                channels = sum(unit.outputs for unit in units) or channels
            outputs += channels
        self.outputs = outputs

    def __call__(self, x: Array) -> Array:  # noqa: D102
        return jnp.concatenate(
            [self._branch(branch, x) for branch in self.branches], -1
        )

    def _branch(self, branch: Branch, x: Array) -> Array:
        for part in branch:
            results = [
                self.activation(getattr(self, unit.name)(x)) for unit in _units(part)
            ]
            x = part(x) if callable(part) else jnp.concatenate(results, -1)
        return x


def branch_rules(
    ours: str, theirs: str, branches: tuple[Branch, ...]
) -> Iterator[Rule]:
    """Of every unit, a ``conv`` and its ``bn``; ``theirs`` is a prefix."""
    for branch in branches:
        for part in branch:
            for unit in _units(part):
                name = f"{theirs}{unit.name}"
                yield LayerRule(
                    f"{ours}/{unit.name}", f"{name}.conv", norm=f"{name}.bn"
                )


def _units(part: Unit | Fork | Callable[[Array], Array]) -> tuple[Unit, ...]:
    if isinstance(part, Unit):
        return (part,)
    return part.units if isinstance(part, Fork) else ()


def _layer(inputs: int, unit: Unit) -> nnx.Module:
    if unit.window == 1:
        return Linear(inputs, unit.outputs)
    padding = unit.padding
    if padding == "symmetric" and isinstance(unit.window, tuple):
        padding = tuple((n // 2, n // 2) for n in unit.window)
    return Conv(inputs, unit.outputs, unit.window, stride=unit.stride, padding=padding)
