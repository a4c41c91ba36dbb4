"""The layers that rules are about, and how a program is read as layers.

Only equations between the images and the score are grouped: what does not depend on the
images is a constant (a weight), which is evaluated and has no relevance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxattr.interpreter.primitives import SUMS
from jaxattr.interpreter.program import Equation, Program, Value

LINEAR = ("convolution", "dense")
KINDS = (
    *LINEAR,
    "sum",
    "move",
    "affine",
    "pointwise",
    "maximum",
    "addition",
    "product",
    "quotient",
    "choice",
    "softmax",
    "normalization",
    "centering",
    "scaling",
    "elementwise",
    "unknown",
)
"""What a layer can be, see ``docs/rules.md``."""


Curve = Callable[[np.ndarray], np.ndarray | None]
"""A function of numbers in numpy; None where it is not known."""


@dataclasses.dataclass(eq=False)
class Node:
    """Equations that are one layer of a network."""

    kind: str
    equations: list[Equation]
    inputs: list[Value]
    """Those that depend on the images."""
    outputs: list[Value]
    first: bool = False
    """Whether it is a linear layer with weights, and its inputs are ``raw``."""
    raw: bool = False
    """Whether its inputs are the images, at most normalised or rearranged."""
    nonnegative: bool = False
    """Whether its inputs are known not to be negative."""
    weight: Value | None = None
    """Of a linear layer, the constant that it multiplies with."""
    weight_axes: tuple[int, ...] = ()
    """The axes of the weights that are channels of the result."""
    channel_axes: tuple[int, ...] = ()
    """The same axes of what the first equation returns."""
    has_scale: bool = False
    """Of a linear layer, whether an equation behind the first multiplies."""
    curve: Curve | None = None
    """Of a pointwise layer of numbers alone, the function in numpy."""
    axes: tuple[int, ...] = ()
    """Of a softmax, the axes it sums over."""

    @property
    def last(self) -> Equation:
        """The equation that gives its result."""
        return self.equations[-1]

    @property
    def name(self) -> str:
        """Of the last equation's primitive."""
        return self.last.name

    @property
    def has_shift(self) -> bool:
        """Of an affine layer, whether it adds a constant."""
        return any(e.name in ("add", "sub", "add_any") for e in self.equations)


@dataclasses.dataclass(eq=False)
class Graph:
    """A program and its layers, in the order in which they are evaluated."""

    program: Program
    nodes: list[Node]
    active: set[Value]
    """All values that depend on the images."""
    raw: set[Value]
    """Those that are the images, at most normalised or rearranged."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a program is to be read."""

    normalizations: bool = True
    """Statistics of layer norms are constants, as LRP has it."""
    stop_gradient: bool = True
    """Behind ``stop_gradient`` all is constant."""
    parts: tuple[str, ...] = ()
    """Scopes and ``checkpoint_name`` tags that are one layer each."""


def is_resizing(node: Node) -> bool:
    """Whether it is a product with a matrix that is no weight, as resizing is."""
    return node.kind == "sum" and node.equations[0].name not in SUMS
