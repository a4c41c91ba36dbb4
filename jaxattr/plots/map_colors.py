"""The one rule of colour for attribution maps, in arrays: figures and reports follow it.

Channels are summed; red speaks for the class and blue against it, white is zero, and
both ends stand for the same absolute value. Over a photograph a map is the more opaque
the larger its absolute value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import check_number, fail

# Blue, white, red of equal lightness at both ends, and lighter than matplotlib's RdBu:
# single pixels of its near-black ends could not be told apart.
DIVERGING = ("#0b4fb8", "#5b9be6", "#ffffff", "#f2805f", "#bd0f2a")
PERCENTILE = 99.5
"""Of the absolute values of a map: the end of its colours."""


def channel_sum(attribution: ArrayLike) -> np.ndarray:
    """``(H, W, C)`` or ``(H, W)`` to ``(H, W)``."""
    values = np.asarray(attribution, float)
    if values.ndim not in (2, 3) or not values.size:
        raise fail("attribution", "an array (H, W, C) or (H, W)", values)
    return values if values.ndim == 2 else values.sum(axis=-1)


def color_limit(attribution: ArrayLike, percentile: float = PERCENTILE) -> float:
    """The absolute value at the ends of the colours; 1 for a map of zeros.

    Not finite values are left out.
    """
    percentile = check_number("percentile", percentile, 0, 100)
    magnitude = np.abs(channel_sum(attribution))
    magnitude = magnitude[np.isfinite(magnitude)]
    if not magnitude.size or not magnitude.max():
        return 1.0
    # A map that is zero nearly everywhere has a percentile of zero.
    return float(np.percentile(magnitude, percentile)) or float(magnitude.max())


def scaled(attribution: ArrayLike, limit: float) -> np.ndarray:
    """``(H, W)``, -1 and 1 at the ends of the colours; what is no number stays so."""
    return np.clip(channel_sum(attribution) / limit, -1, 1)


def tints(values: np.ndarray) -> np.ndarray:
    """Scaled values ``(H, W)`` to colours ``(H, W, 3)`` in [0, 1]."""
    places = np.linspace(-1, 1, len(DIVERGING))
    ends = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in DIVERGING])
    channels = [np.interp(values, places, ends[:, i] / 255) for i in range(3)]
    return np.stack(channels, axis=-1)


def opacity(values: np.ndarray) -> np.ndarray:
    """How much of a photograph a map covers, of scaled values: the root of their size."""
    return np.sqrt(np.abs(values))
