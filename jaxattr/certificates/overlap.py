"""How much two equal balls share when one is moved."""

from __future__ import annotations

import math

import numpy as np

_PANELS, _NODES = 64, 16
_REACH = 14.0
"""Standard deviations, of a coordinate, beyond which no mass is left in float64."""


def share_left(size: int, distance_over_radius: float) -> float:
    """The share of a ball in D dimensions that does not lie in its copy moved by s radii.

    The part that is shared is two caps beyond ``t = s / 2``, so this is the mass of
    ``|x₁| < t`` in the unit ball, whose first coordinate has a density proportional to
    ``(1 - x₁²)^((D-1)/2)``: the regularised incomplete beta function
    ``I_{t²}(1/2, (D+1)/2)``. Rounded up.

    Args:
      size: D.
      distance_over_radius: s, at least 0; from 2 on nothing is shared.

    Example:
      >>> round(share_left(1, 0.5), 6), share_left(150528, 2.0)
      (0.25, 1.0)
    """
    t = distance_over_radius / 2
    if t <= 0:
        return 0.0
    if t >= 1:
        return 1.0
    power = (size - 1) / 2
    end = min(t, _REACH / math.sqrt(2 * power + 1))
    edges = np.linspace(0, end, _PANELS + 1)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = (edges[1:] - edges[:-1])[:, None] / 2
    x = (edges[1:] + edges[:-1])[:, None] / 2 + half * nodes
    inside = float(np.sum(half * weights * np.exp(power * np.log1p(-(x**2)))))
    # ∫ over (0, 1) is √π Γ(p + 1) / (2 Γ(p + 3/2)).
    log_whole = math.lgamma(power + 1) - math.lgamma(power + 1.5)
    whole = math.sqrt(math.pi) / 2 * math.exp(log_whole)
    return min(1.0, inside / whole * (1 + 1e-8) + 1e-12)
