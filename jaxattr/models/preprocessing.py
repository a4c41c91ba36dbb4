"""From a photograph of any size and mode to the array that a model takes."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from jaxattr._checks import fail
from jaxattr._pixels import to_rgb

if TYPE_CHECKING:
    import PIL.Image


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Resize, then crop the centre. Normalisation belongs to the model, not here.

    With ``short_side`` the photograph keeps its proportions; without, it is squashed
    to ``size``.
    """

    size: tuple[int, int]
    short_side: int | None = None
    interpolation: str = "bicubic"

    def __call__(self, photo: object) -> np.ndarray:
        """A photograph to float32 ``(H, W, 3)`` in [0, 1].

        Args:
          photo: a PIL image of any mode, as it was opened (alpha is composited on
            white, and it is turned as its EXIF orientation says, as the command line
            does and torchvision does not), or an array ``(H, W)``, ``(H, W, 1)``,
            ``(H, W, 3)`` of red, green and blue or ``(H, W, 4)`` with opacity, uint8 or
            floats in [0, 1]. Floats are rounded to 8 bits, as Pillow resizes those:
            what torchvision makes of a float tensor, with ``antialias=True``, is not
            rounded, and without it is another image.

        Raises:
          ImportError: where Pillow is not installed (the extra ``app``).
          ValueError: for something else than a photograph, or for pixels of over 8 bits
            whose white is not known.
        """
        image = _to_rgb(photo)
        height, width = self.size
        resample = _pillow().Image.Resampling[self.interpolation.upper()]
        if self.short_side is None:
            image = image.resize((width, height), resample)
        else:
            # The long side is cut off to whole pixels, the margins of the crop are
            # rounded, halves to even: the rules of torchvision, which timm calls.
            short = min(image.size)
            columns, rows = (int(self.short_side * n / short) for n in image.size)
            image = image.resize((columns, rows), resample)
            left, top = (
                round((image.width - width) / 2),
                round((image.height - height) / 2),
            )
            image = image.crop((left, top, left + width, top + height))
        return np.asarray(image, np.float32) / np.float32(255)


def _to_rgb(photo: object) -> PIL.Image.Image:
    """A PIL image of mode RGB."""
    pillow = _pillow()
    image = photo if isinstance(photo, pillow.Image.Image) else _from_array(photo)
    if 0 in image.size:
        raise fail("photo", "at least one pixel", image)
    if image.mode == "F":
        # As of an array: floats in [0, 1], or an error.
        image = _from_array(np.asarray(image))
    try:
        return to_rgb(image, pillow)
    except ValueError as error:
        raise ValueError(f"photo: {error}") from None


def _from_array(photo: object) -> PIL.Image.Image:
    expected = "a PIL image or an array (H, W), (H, W, 3) or (H, W, 4)"
    array = np.asarray(photo)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise fail("photo", expected, photo)
    if 0 in array.shape:
        raise fail("photo", "at least one pixel", array)
    if array.dtype != np.uint8:
        # bfloat16 arrays are of kind "V" to NumPy.
        if array.dtype.kind not in "fV" or array.dtype.names is not None:
            raise fail("photo", "uint8 or floats in [0, 1]", array)
        array = array.astype(np.float32)
        if not (array.min() >= 0 and array.max() <= 1):
            span = f"values from {array.min():g} to {array.max():g}"
            raise ValueError(f"photo: expected floats in [0, 1], got {span}")
        array = np.round(array * 255).astype(np.uint8)
    return _pillow().Image.fromarray(array)


def _pillow() -> ModuleType:
    """The package ``PIL`` with what is needed of it."""
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise ImportError(
            'reading photographs needs Pillow: pip install "jaxattr[app]"'
        ) from None
    return PIL
