"""Writes ``goldens/preprocessing.npz``: what torchvision and timm make of photographs.

Run by hand, ``python tests/models/make_pixel_goldens.py``, with torch 2.14.1,
torchvision 0.29.1 and timm 1.0.31. The cases have odd margins, long sides that are no
whole number of pixels, and sides that grow.
"""

from __future__ import annotations

import pathlib

import numpy as np

FILE = pathlib.Path(__file__).parent / "goldens" / "preprocessing.npz"
CASES = [
    # Height and width of the photograph, of the crop, its short side (0: squashed).
    (64, 43, 24, 27),
    (43, 64, 24, 27),
    (61, 47, 23, 32),
    (47, 61, 24, 31),
    (30, 45, 22, 25),
    (10, 7, 16, 19),  # grows
    (13, 90, 12, 12),  # no margin on one side
    (427, 640, 14, 16),
    (50, 37, 20, 0),
    (9, 14, 20, 0),
]
INTERPOLATIONS = ("bilinear", "bicubic")


def photograph(index: int) -> np.ndarray:
    """``(H, W, 3)``, drawn: no smooth picture would hide a shift by a pixel."""
    height, width, *_ = CASES[index]
    rng = np.random.default_rng(index)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def main() -> None:
    from PIL import Image
    from timm.data.transforms_factory import transforms_imagenet_eval
    from torchvision.transforms import v2
    from torchvision.transforms._presets import ImageClassification

    results = {}
    for index, (_, _, size, short_side) in enumerate(CASES):
        photo = Image.fromarray(photograph(index))
        for name in INTERPOLATIONS:
            mode = v2.InterpolationMode(name)
            if short_side:
                preset = ImageClassification(
                    crop_size=size,
                    resize_size=short_side,
                    mean=(0.0,) * 3,
                    std=(1.0,) * 3,
                    interpolation=mode,
                )
                pixels = preset(photo)
            else:
                pixels = v2.functional.to_dtype(
                    v2.functional.pil_to_tensor(
                        v2.Resize((size, size), interpolation=mode)(photo)
                    ),
                    scale=True,
                )
            # A share that timm rounds down to the short side that is meant.
            share = size / (short_side + 1e-6) if short_side else 1.0
            same = transforms_imagenet_eval(
                img_size=size,
                crop_pct=share,
                crop_mode="center" if short_side else "squash",
                interpolation=name,
                mean=(0.0,) * 3,
                std=(1.0,) * 3,
            )(photo)
            np.testing.assert_allclose(np.asarray(same), np.asarray(pixels), atol=1e-6)
            whole = np.asarray(pixels).transpose(1, 2, 0) * 255
            results[f"{index}.{name}"] = np.round(whole).astype(np.uint8)
    np.savez_compressed(FILE, **results)
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
