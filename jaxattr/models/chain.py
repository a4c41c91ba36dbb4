"""A network is a chain of named layers, so that it can be cut between any two.

Every architecture has ``chain()``, its layers by name in the order in which they are
applied, each a function of the one before, and ``split_layer``, the name after which it
is cut by default: the last whose output is still an image of features that reach the
logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import jax

from jaxattr._checks import check_choice
from jaxattr.typing import Array

Layer = Callable[[Array], Array]
Chain = dict[str, Layer]
"""Layers by name, in the order in which they are applied."""


class Network(Protocol):
    """What every architecture has."""

    split_layer: str

    def chain(self) -> Chain:
        """Its layers."""
        ...


def run(network: Network, x: Array, start: int = 0, stop: int | None = None) -> Array:
    """What layers ``start`` to ``stop`` make of ``x``, each in a scope of its name."""
    for name, layer in list(network.chain().items())[start:stop]:
        with jax.named_scope(name):
            x = layer(x)
    return x


def position(network: Network, name: str) -> int:
    """How many layers there are up to ``name`` and with it.

    The name of a group (``"layer4"``) means the last in it (``"layer4.2"``).

    Raises:
      ValueError: for a name that is neither; the message lists the known ones.
    """
    names = list(network.chain())
    matching = [i for i, n in enumerate(names) if f"{n}.".startswith(f"{name}.")]
    if not matching:
        check_choice("layer", name, names)
    return matching[-1] + 1
