"""A photograph file, whatever its format and bit depth, as upright 8-bit RGB."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_WIDE_GREYS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_photograph(path: str | os.PathLike[str]) -> Image.Image:
    """Reads any still image that Pillow reads.

    EXIF rotation is applied; greyscale, palette, CMYK and 16-bit files are converted;
    transparent pixels are laid on white; of an animation the first frame is taken.

    Args:
      path: the file.

    Returns:
      A PIL image in mode ``RGB``, fully decoded: nothing is read later.

    Raises:
      ValueError: the file is missing, a directory, no image, or damaged; the message
        starts with its path.
      ImportError: Pillow is not installed; the message names the extra.
    """
    Image, ImageOps = _pillow()
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a photograph, got a directory")
    try:
        with Image.open(path) as image:
            return _to_rgb(ImageOps.exif_transpose(image), Image)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except PermissionError:
        raise ValueError(f"{path}: not allowed to read this file") from None
    except Image.UnidentifiedImageError:
        empty = path.stat().st_size == 0
        reason = "the file is empty" if empty else "not an image that Pillow can read"
        raise ValueError(f"{path}: {reason}") from None
    except MemoryError:
        raise
    except Exception as error:
        # Decoders raise what they like on damaged files: OSError, SyntaxError,
        # struct.error, DecompressionBombError and more.
        raise ValueError(f"{path}: cannot be decoded ({_one_line(error)})") from None


def list_photographs(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The image files of a folder, by name; not of the folders inside it.

    Raises:
      ValueError: there is no such folder, or no image file in it.
    """
    Image, _ = _pillow()
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of photographs")
    known = Image.registered_extensions()
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in known)
    if not files:
        raise ValueError(f"{folder}: no image file in this folder")
    return files


def _to_rgb(image: Image.Image, Image) -> Image.Image:
    if image.mode in _WIDE_GREYS:
        return _from_wide_grey(image, Image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _from_wide_grey(image: Image.Image, Image) -> Image.Image:
    # Pillow's own conversion clips at 255, which turns all but the darkest white.
    import numpy as np

    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels have no known white")
    grey = np.round(values / 257.0).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _pillow():
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError(
            "reading photographs needs Pillow: pip install 'jaxattr[app]'"
        ) from None
    return Image, ImageOps


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
