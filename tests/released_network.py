"""A network and images for what released codes of 1000 classes computed."""

import numpy as np

SHAPE = (6, 5, 3)
LABELS = (3, 998, 999)
VALUES_PER_ROUND = 30


def weights():
    """``(D, 12)`` and ``(12, 1000)``, float64, of a network with one hidden tanh."""
    size = int(np.prod(SHAPE))
    rng = np.random.default_rng(20)
    return [
        rng.normal(size=(size, 12)) * (6 / size) ** 0.5,
        rng.normal(size=(12, 1000)),
    ]


def images():
    """``(3, H, W, C)`` in [0.05, 1], a few of them at the upper bound."""
    rng = np.random.default_rng(21)
    return np.clip(rng.uniform(0.05, 1.05, (len(LABELS), *SHAPE)), 0, 1)
