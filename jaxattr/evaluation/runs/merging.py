"""What is missing from results that many processes make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_NAMED = 5
"""Of the photographs that lack something, so many are named."""


def lacking_line(what: str, names: Sequence[str], images: np.ndarray) -> str:
    """Which photographs lack something.

    >>> lacking_line("saliency on tiny", ["a.png", "b.png"], np.array([1]))
    'saliency on tiny: 1 of 2 photographs: b.png'
    """
    some = ", ".join(names[i] for i in images[:MAX_NAMED])
    more = len(images) - MAX_NAMED
    others = f" and {more:,} more" if more > 0 else ""
    return f"{what}: {len(images):,} of {len(names):,} photographs: {some}{others}"
