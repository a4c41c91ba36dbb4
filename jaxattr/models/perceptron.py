"""The two layers between which a transformer is wide."""

from __future__ import annotations

from flax import nnx

from jaxattr.models.activations import Activation
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.layers import BRANCH, Linear
from jaxattr.typing import Array


class Perceptron(nnx.Module):
    """``fc2(activation(fc1(x)))`` on the last axis, which ends a residual branch."""

    def __init__(self, channels: int, hidden: int, activation: Activation):
        self.fc1 = Linear(channels, hidden)
        self.fc2 = Linear(hidden, channels, gain=BRANCH)
        self.activation = activation

    def __call__(self, x: Array) -> Array:  # noqa: D102
        return self.fc2(self.activation(self.fc1(x)))


def perceptron_rules(
    ours: str, theirs: tuple[str, str], scale: str | None = None
) -> list[Rule]:
    """``scale`` is the name of what multiplies the result, if anything does."""
    first, second = theirs
    return [
        LayerRule(f"{ours}/fc1", first),
        LayerRule(f"{ours}/fc2", second, scale=scale),
    ]
