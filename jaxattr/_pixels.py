"""Images of any mode of Pillow's as upright 8-bit RGB, without importing Pillow.

What Pillow's own ``convert`` does to more than 8 bits is to clip them, which turns all
but the darkest pixels white.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STDDEV = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1], per channel RGB."""

_WIDE_FORMATS = (None, "PNG", "TIFF", "PPM", "JPEG2000", "ICO")
"""Formats whose 16-bit pixels have a known white; None is an image that no file made."""
_SCALED_FORMATS = ("PNG", "PPM")
"""Formats that Pillow scales to 65535 and gives as 32 bits."""
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""


def grey_range(image: Image.Image) -> tuple[int, int] | None:
    """The values of black and white, of an image with one channel of over 8 bits.

    None for other images. It looks at the file that the image was opened from.

    Raises:
      ValueError: nobody has said which value is white.
    """
    tags = getattr(image, "tag_v2", {})
    if 2 in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        raise ValueError("signed pixels have no known white")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    if image.mode == "I" and image.format not in _SCALED_FORMATS:
        raise ValueError("32-bit pixels have no known white")
    if not image.mode.startswith("I"):
        return None
    if image.format not in _WIDE_FORMATS:
        raise ValueError(f"16-bit pixels of {image.format} have no known white")
    # Of 12 bits TIFF's reader makes numbers up to 4095, and it inverts only 8-bit ones.
    white = 2 ** int(np.max(tags.get(_BITS, 16))) - 1
    return (white, 0) if tags.get(_PHOTOMETRIC, 1) == 0 else (0, white)


def to_rgb(image: Image.Image, pillow: ModuleType) -> Image.Image:
    """An image in mode ``RGB``, turned as its EXIF data say; transparent is white.

    Args:
      image: of any mode, as it was opened: a copy does not know its file, which says
        which grey of over 8 bits is white.
      pillow: the package ``PIL``, with ``Image`` and ``ImageOps``.

    Raises:
      ValueError: nobody has said which value is white, or pixels beyond it.
    """
    greys = grey_range(image)
    image = pillow.ImageOps.exif_transpose(image)
    if greys is not None:
        return _from_wide_grey(image, pillow, *greys)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pillow.Image.new("RGBA", image.size, "white")
        image = pillow.Image.alpha_composite(white, image)
    return image.convert("RGB")


def _from_wide_grey(
    image: Image.Image, pillow: ModuleType, black: int, white: int
) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.size and not 0 <= values.min() <= values.max() <= max(black, white):
        raise ValueError(f"pixels outside 0 to {max(black, white)} have no known white")
    grey = np.round((values - black) * (255 / (white - black)))
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return pillow.Image.fromarray(grey.astype(np.uint8)).convert("RGB")
