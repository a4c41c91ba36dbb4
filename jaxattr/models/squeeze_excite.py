"""Squeeze and excite: a gate a channel from the means of all channels.

References:
  J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018,
  arXiv:1709.01507.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxattr.models.activations import Activation
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.layers import Linear
from jaxattr.typing import Array


class SqueezeExcite(nnx.Module):
    """``x · gate(excite(activation(squeeze(mean(x)))))``, ``(N, H, W, C)`` to the same."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        *,
        activation: Activation,
        gate: Activation = jax.nn.sigmoid,
    ):
        self.squeeze = Linear(channels, squeezed)
        self.excite = Linear(squeezed, channels)
        self.activation, self.gate = activation, gate

    def __call__(self, x: Array) -> Array:  # noqa: D102
        means = jnp.mean(x, (1, 2), keepdims=True)
        gate = self.gate(self.excite(self.activation(self.squeeze(means))))
        return x * jnp.broadcast_to(gate, x.shape)


def squeeze_excite_rules(ours: str, theirs: str, names: tuple[str, str]) -> list[Rule]:
    """``names`` are those of the two layers in the module ``theirs``."""
    parts = zip(("squeeze", "excite"), names, strict=True)
    return [LayerRule(f"{ours}/{part}", f"{theirs}.{name}") for part, name in parts]
