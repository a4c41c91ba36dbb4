"""What is done with pixels before a network: the argument ``normalize``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxattr._errors import fail
from jaxattr._pixels import IMAGENET_MEAN, IMAGENET_STDDEV

Normalize = str | tuple[float | Sequence[float], float | Sequence[float]]
"""``"imagenet"``, or a mean and a standard deviation, numbers or one a channel."""


def check_normalize(
    normalize: Normalize, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, one a channel."""
    expected = 'None, "imagenet" or (mean, std), numbers or one a channel'
    if isinstance(normalize, str):
        if normalize != "imagenet" or channels != 3:
            raise fail("normalize", expected, normalize)
        normalize = (IMAGENET_MEAN, IMAGENET_STDDEV)
    try:
        mean, std = (
            tuple(np.broadcast_to(np.asarray(part, float), (channels,)).tolist())
            for part in normalize
        )
    except (TypeError, ValueError):
        raise fail("normalize", f"{expected}, {channels} of them", normalize) from None
    if not all(s > 0 for s in std) or not np.isfinite([*mean, *std]).all():
        raise fail("normalize", "a finite mean and a std above zero", normalize)
    return mean, std
