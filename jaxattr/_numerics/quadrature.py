"""Quadrature rules on [0, 1]: where a straight-line integral looks, with what weight.

The weights of every rule sum to one, so each is exact on constants; a gradient that is
constant along the line (a linear model) is integrated exactly by all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxattr._checks import check_choice, check_integer

RULES = ("left", "right", "midpoint", "trapezoid", "gauss-legendre")


class Rule(NamedTuple):
    """Nodes ``(T,)`` in [0, 1] and weights ``(T,)``, float64."""

    nodes: np.ndarray
    weights: np.ndarray


def rule(name: str, num_steps: int) -> Rule:
    """The rule ``name`` with ``num_steps`` nodes.

    The error falls as ``T⁻¹`` (left, right), ``T⁻²`` (midpoint, trapezoid) and faster
    than any power (gauss-legendre) for smooth integrands.

    Raises:
      ValueError: an unknown name, fewer than one step, or a trapezoid of fewer than two.
    """
    check_choice("rule", name, RULES)
    num_steps = check_integer("num_steps", num_steps, 2 if name == "trapezoid" else 1)
    step = np.arange(num_steps)
    even = np.full(num_steps, 1 / num_steps)
    if name == "left":
        return Rule(step / num_steps, even)
    if name == "right":
        return Rule((step + 1) / num_steps, even)
    if name == "midpoint":
        return Rule((step + 0.5) / num_steps, even)
    if name == "trapezoid":
        weights = np.full(num_steps, 1 / (num_steps - 1))
        weights[[0, -1]] /= 2
        return Rule(step / (num_steps - 1), weights)
    nodes, weights = np.polynomial.legendre.leggauss(num_steps)
    return Rule((nodes + 1) / 2, weights / 2)
