"""Propagation rules: what the inputs of a layer get of what its results have.

A rule is a function ``rule(layer, relevance)``: ``layer`` is a ``ja.rules.Layer`` and
``relevance`` has one array for each of its results; it returns one for each of its
inputs. A ``Composite`` says which rule stands where. ``docs/rules.md`` explains them.
"""

from jaxattr.interpreter.layer import Layer, fold, quotient
from jaxattr.interpreter.nodes import KINDS
from jaxattr.interpreter.pullback import Rule
from jaxattr.rules.composites import COMPOSITES, Composite, composite, names
from jaxattr.rules.linear import (
    AlphaBeta,
    Epsilon,
    Flat,
    Gamma,
    WSquared,
    ZBox,
    ZPlus,
)
from jaxattr.rules.nonlinear import (
    Gradient,
    Linearized,
    Move,
    Pass,
    SoftmaxTaylor,
    Uniform,
    Winner,
)

__all__ = [
    "COMPOSITES",
    "KINDS",
    "AlphaBeta",
    "Composite",
    "Epsilon",
    "Flat",
    "Gamma",
    "Gradient",
    "Layer",
    "Linearized",
    "Move",
    "Pass",
    "Rule",
    "SoftmaxTaylor",
    "Uniform",
    "WSquared",
    "Winner",
    "ZBox",
    "ZPlus",
    "composite",
    "fold",
    "names",
    "quotient",
]
