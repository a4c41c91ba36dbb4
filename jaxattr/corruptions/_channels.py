"""Which corruptions know colours, and so need to know what the channels are."""

from __future__ import annotations

from jaxattr._checks import fail
from jaxattr.typing import Array


def check_grey_or_rgb(images: Array, reason: str) -> None:
    """Images of 1 or 3 channels.

    Args:
      images: ``(N, H, W, C)``.
      reason: what such channels have to do with it, after the word ``which``.

    Raises:
      ValueError: other numbers of channels, such as the 4 of RGB with opacity, which
        would count as a fourth colour.
    """
    if images.shape[-1] not in (1, 3):
        raise fail("images", f"1 or 3 channels, which {reason}", images)
