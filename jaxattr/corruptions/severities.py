"""What each severity means: the parameters of ImageNet-C, and of its CIFAR-10 twin.

Lengths are in pixels, of 224 and of 32 pixel images.
"""

from __future__ import annotations


def _table(**columns: tuple[float, ...]) -> tuple[dict[str, float], ...]:
    """Columns of five values to five dictionaries."""
    return tuple(
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    )


IMAGENET = {
    "gaussian_noise": _table(stddev=(0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": _table(photons=(60, 25, 12, 5, 3)),
    "impulse_noise": _table(share=(0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": _table(radius=(3, 4, 6, 8, 10), stddev=(0.1, 0.5, 0.5, 0.5, 0.5)),
    "glass_blur": _table(
        stddev=(0.7, 0.9, 1.0, 1.1, 1.5), reach=(1, 2, 2, 3, 4), rounds=(2, 1, 3, 2, 2)
    ),
    "motion_blur": _table(radius=(10, 15, 15, 15, 20), stddev=(3, 5, 8, 12, 15)),
    "zoom_blur": _table(
        stop=(1.11, 1.16, 1.21, 1.26, 1.31), step=(0.01, 0.01, 0.02, 0.02, 0.03)
    ),
    "snow": _table(
        mean=(0.1, 0.2, 0.55, 0.55, 0.55),
        stddev=(0.3,) * 5,
        zoom=(3, 2, 4, 4.5, 2.5),
        threshold=(0.5, 0.5, 0.9, 0.85, 0.85),
        radius=(10, 12, 12, 12, 12),
        blur=(4, 4, 8, 8, 12),
        share=(0.8, 0.7, 0.7, 0.65, 0.55),
    ),
    "frost": _table(
        share=(1, 0.8, 0.7, 0.65, 0.6), frost=(0.4, 0.6, 0.7, 0.7, 0.75), scale=(1,) * 5
    ),
    "fog": _table(thickness=(1.5, 2, 2.5, 2.5, 3), decay=(2, 2, 1.7, 1.5, 1.4)),
    "brightness": _table(shift=(0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": _table(share=(0.4, 0.3, 0.2, 0.1, 0.05)),
    # The original multiplies by 244, by mistake for 224.
    "elastic_transform": _table(
        shift=(488, 488, 12.2, 17.08, 29.28),
        stddev=(170.8, 19.52, 2.44, 2.44, 2.44),
        affine=(24.4, 48.8, 4.88, 4.88, 4.88),
    ),
    "pixelate": _table(scale=(0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": _table(quality=(25, 18, 15, 10, 7)),
}

CIFAR = {
    "gaussian_noise": _table(stddev=(0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": _table(photons=(500, 250, 100, 75, 50)),
    "impulse_noise": _table(share=(0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": _table(
        radius=(0.3, 0.4, 0.5, 1, 1.5), stddev=(0.4, 0.5, 0.6, 0.2, 0.1)
    ),
    "glass_blur": _table(
        stddev=(0.05, 0.25, 0.4, 0.25, 0.4), reach=(1,) * 5, rounds=(1, 1, 1, 2, 2)
    ),
    "motion_blur": _table(radius=(6, 6, 6, 8, 9), stddev=(1, 1.5, 2, 2, 2.5)),
    "zoom_blur": _table(stop=(1.06, 1.11, 1.16, 1.21, 1.26), step=(0.01,) * 5),
    "snow": _table(
        mean=(0.1, 0.1, 0.15, 0.25, 0.3),
        stddev=(0.2, 0.2, 0.3, 0.3, 0.3),
        zoom=(1, 1, 1.75, 2.25, 1.25),
        threshold=(0.6, 0.5, 0.55, 0.6, 0.65),
        radius=(8, 10, 10, 12, 14),
        blur=(3, 4, 4, 6, 12),
        share=(0.95, 0.9, 0.9, 0.85, 0.8),
    ),
    "frost": _table(
        share=(1, 1, 0.9, 0.85, 0.75),
        frost=(0.2, 0.3, 0.4, 0.4, 0.45),
        scale=(0.2,) * 5,
    ),
    "fog": _table(thickness=(0.2, 0.5, 0.75, 1, 1.5), decay=(3, 3, 2.5, 2, 1.75)),
    "brightness": _table(shift=(0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": _table(share=(0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": _table(
        shift=(0, 1.6, 2.56, 3.2, 3.2),
        stddev=(0, 6.4, 1.92, 1.28, 0.96),
        affine=(2.56, 2.24, 1.92, 1.6, 0.96),
    ),
    "pixelate": _table(scale=(0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": _table(quality=(80, 65, 58, 50, 40)),
}

PRESETS = {"imagenet": IMAGENET, "cifar": CIFAR}
