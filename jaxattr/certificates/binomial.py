"""Exact confidence bounds of a coin, as the radii that they certify."""

from __future__ import annotations

import functools
import math

import numpy as np

STEP = 0.002
"""Radii over the standard deviation are rounded down to multiples of it."""
_LARGEST = 6.0


@functools.lru_cache(maxsize=32)
def radii_of_counts(num_samples: int, alpha: float) -> np.ndarray:
    """``(n + 1,)``: for k heads of n, ``Φ⁻¹`` of the lower bound of their probability.

    The bound is Clopper and Pearson's, the p with ``P(Binomial(n, p) ≥ k) = α``: the true
    probability is below it with a probability of α at most. Zero where it is not above one
    half; rounded down to a multiple of ``STEP``.

    Args:
      num_samples: n.
      alpha: α.

    Reference: Clopper, Pearson. The use of confidence or fiducial limits illustrated in
    the case of the binomial. Biometrika 1934.
    """
    n = num_samples
    counts = np.arange(n + 1)
    log_factorial = np.array([math.lgamma(k + 1) for k in counts])
    log_choose = log_factorial[n] - log_factorial - log_factorial[::-1]
    radii = np.zeros(n + 1)
    for step in range(1, int(_LARGEST / STEP)):
        # Φ(z) and 1 - Φ(z).
        tails, heads = (
            0.5 * math.erfc(s * step * STEP / math.sqrt(2)) for s in (1, -1)
        )
        log_mass = counts * math.log(heads) + (n - counts) * math.log(tails)
        mass = np.exp(log_choose + log_mass)
        at_least = np.cumsum(mass[::-1])[::-1]
        enough = at_least * (1 + 1e-6) <= alpha
        if not enough.any():
            break
        radii[np.argmax(enough) :] = step * STEP
    return radii


def least_samples(alpha: float) -> int:
    """How many heads in a row it takes to be sure of a radius at all."""
    heads = 0.5 * math.erfc(-STEP / math.sqrt(2))
    return math.ceil(math.log(1.0001 / alpha) / -math.log(heads))
