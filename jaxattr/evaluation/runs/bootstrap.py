"""How far a mean over images may be off, and a difference of two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def bootstrap_means(
    values: ArrayLike, *, num_resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """Means over resampled images, the same images for every row.

    So the difference of two rows is that of paired samples: what makes an image hard
    for both cancels.

    Args:
      values: ``(M, N)``, M quantities of the same N images.
      num_resamples: R.
      seed: of the resamples.

    Returns:
      ``(R, M)``.

    References:
      Efron, Tibshirani. An Introduction to the Bootstrap. 1993.
    """
    values = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    num_images = values.shape[1]
    return np.stack(
        [
            values[:, rng.integers(0, num_images, num_images)].mean(axis=1)
            for _ in range(num_resamples)
        ]
    )


def interval(means: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled means ``(R,)``."""
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
