"""Pictures small enough for a mail: photographs and maps as data URIs."""

from __future__ import annotations

import base64
import io
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from jaxattr.photographs.reading import read_photograph
from jaxattr.plots import map_colors

T = TypeVar("T")

SIZES = (224, 176, 128, 96, 64)
"""Longest sides, in pixels, the largest that fits is taken."""
BUDGET = 40e6
"""The most bytes of all pictures of a page, as text."""


class Scale(NamedTuple):
    """How large the pictures of a page are, and how much of it has room."""

    side: int
    """The longest side, in pixels."""
    photographs: int
    """How many, each with its maps, fit at this size."""


def fitting(
    num_photographs: int,
    bytes_of: Callable[[int], float],
    *,
    budget: float | None = None,
) -> Scale:
    """The largest pictures with which so many photographs fit into the budget.

    Args:
      num_photographs: how many there are.
      bytes_of: side of the pictures to the bytes of a photograph with its maps, measured
        on some of them: noise takes many times as much as a smooth map.
      budget: bytes of all of them, by default ``BUDGET``.

    >>> fitting(1000, lambda side: side**2), fitting(9000, lambda side: side**2)
    (Scale(side=176, photographs=1291), Scale(side=64, photographs=9765))
    """
    budget = BUDGET if budget is None else budget
    for side in SIZES:
        count = int(budget / max(1.0, bytes_of(side)))
        if num_photographs <= count:
            break
    return Scale(side, max(1, count))


def sample(items: Sequence[T], count: int = 8) -> list[T]:
    """Some of them from all over, to measure sizes on."""
    return [items[i * len(items) // count] for i in range(min(count, len(items)))]


def photograph(image: np.ndarray, side: int) -> str:
    """``(H, W, 3)`` or ``(H, W, 1)`` in [0, 1] as a data URI."""
    return _encode(_shrunk(_to_rgb(image), side), quality=80)


def thumbnail(path: pathlib.Path, side: int) -> str:
    """A photograph file as a data URI; nothing if it cannot be read."""
    try:
        image = read_photograph(path)
    except (OSError, ValueError):
        return ""
    image.thumbnail((2 * side, 2 * side))
    return photograph(np.asarray(image.convert("RGB")) / 255, side)


def small_photograph(image: np.ndarray, side: int) -> np.ndarray:
    """``(H, W, C)`` in [0, 1] as uint8, its longest side at most ``side``."""
    from PIL import Image

    picture = Image.fromarray(_to_rgb(image))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def small_map(attribution: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A map ``(H, W, C)`` as int8, and the absolute value that is 127 in it.

    It is summed over its channels, cut off where the colours of the figures end, and
    averaged to a longest side of at most ``side``; what is not finite is zero.
    """
    from PIL import Image

    scaled, limit = _scaled(attribution)
    picture = Image.fromarray(scaled.astype(np.float32))
    picture.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)
    return np.rint(127 * np.asarray(picture)).astype(np.int8), limit


def overlay(
    attribution: np.ndarray, side: int, limit: float | None = None
) -> tuple[str, float]:
    """A map ``(H, W, C)`` as a data URI, and the value at the ends of its colours.

    The colours are those of the figures; the map is the more opaque the larger its
    absolute value, so that it can be laid over the photograph.

    Args:
      attribution: the map, or its sum over the channels ``(H, W)``.
      side: the longest side of the picture.
      limit: the value at the ends of the colours; by default that of the figures.
    """
    scaled, limit = _scaled(attribution, limit)
    colors, opacity = map_colors.tints(scaled), map_colors.opacity(scaled)
    pixels = np.concatenate([colors, opacity[..., None]], axis=-1)
    picture = _shrunk(np.rint(255 * pixels).astype(np.uint8), side)
    return _encode(picture, quality=60), limit


def _scaled(
    attribution: np.ndarray, limit: float | None = None
) -> tuple[np.ndarray, float]:
    """``(H, W)`` in [-1, 1], and the absolute value at its ends."""
    limit = map_colors.color_limit(attribution) if limit is None else limit
    return np.nan_to_num(map_colors.scaled(attribution, limit)), limit


def _to_rgb(image: np.ndarray) -> np.ndarray:
    image = np.nan_to_num(np.clip(np.asarray(image, float), 0, 1))
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[-1] != 3:
        image = np.repeat(image[..., :1], 3, axis=-1)
    return np.rint(255 * image).astype(np.uint8)


def _shrunk(pixels: np.ndarray, side: int):
    from PIL import Image

    picture = Image.fromarray(pixels)
    if max(picture.size) < 64:
        # A small image is shown pixel by pixel, not as a blur.
        factor = 64 // max(picture.size) + 1
        size = (picture.width * factor, picture.height * factor)
        return picture.resize(size, Image.Resampling.NEAREST)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _encode(picture, *, quality: int) -> str:
    from PIL import features

    stream = io.BytesIO()
    kind = "webp" if features.check("webp") else "png"
    # Of a map, opacity takes most of the bytes. A slower method saves hardly any.
    picture.save(stream, format=kind, quality=quality, alpha_quality=quality, method=2)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"data:image/{kind};base64,{data}"
