"""How far a mean over images may be off, and a difference of two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_MOST_COUNTS = 1 << 20
"""How often images are drawn, counted for so many pairs of resample and image at a
time: 8 MB."""


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
    together = max(1, _MOST_COUNTS // num_images)
    means = []
    for first in range(0, num_resamples, together):
        # How often each image is in a resample, times its values: one product.
        counts = np.empty((min(together, num_resamples - first), num_images))
        for row in counts:
            drawn = rng.integers(0, num_images, num_images)
            row[:] = np.bincount(drawn, minlength=num_images)
        means.append(counts @ values.T / num_images)
    return np.concatenate(means)


def interval(means: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled means ``(R,)``."""
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
