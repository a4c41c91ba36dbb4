"""What PyWavelets computes, kept in ``goldens/wavelets.npz``.

By hand, with ``pip install PyWavelets``: ``python tests/frequencies/make_goldens.py``.
"""

import pathlib

import numpy as np
import pywt

LEVELS = {"haar": 3, "db2": 2, "db4": 2}
"""Of an image of 16 by 24 values: all sides are even at every level."""


def transform(image, name, levels):
    """``(H, W)`` in the arrangement of ``wavelet2``."""
    if not levels:
        return image
    low, (below, beside, corner) = pywt.dwt2(image, name, mode="periodization")
    return np.block([[transform(low, name, levels - 1), beside], [below, corner]])


if __name__ == "__main__":
    image = np.random.default_rng(3).normal(size=(16, 24))
    golden = {"image": image}
    for name, levels in LEVELS.items():
        golden[name] = transform(image, name, levels)
    for n in range(1, 9):
        golden[f"filter_{n}"] = np.asarray(pywt.Wavelet(f"db{n}").rec_lo)
    place = pathlib.Path(__file__).parent / "goldens" / "wavelets.npz"
    np.savez_compressed(place, **golden)
