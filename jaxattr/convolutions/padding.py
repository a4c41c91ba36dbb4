"""Where a convolution's zeros go: three conventions and explicit pairs."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxattr._checks import check_choice, fail
from jaxattr.typing import Array

Pairs = tuple[tuple[int, int], ...]
Padding = str | Pairs

PADDINGS = ("tf_same", "symmetric")
"""What ``load(padding=...)`` takes."""


def explicit_padding(
    padding: Padding, size: tuple[int, ...], window: tuple[int, ...], stride: int
) -> Pairs:
    """The ``((top, bottom), (left, right))`` zeros that a convention means.

    - ``"tf_same"``: as few as give ``ceil(size / stride)`` outputs, the odd one after
      (TensorFlow, Flax and XLA say SAME). It depends on the size of the images.
    - ``"symmetric"``: ``(window - 1) // 2`` on all sides (torchvision).
    - ``"valid"``: none.

    Raises:
      ValueError: for another name, or pairs that are not two pairs of integers.
    """
    if isinstance(padding, str):
        check_choice("padding", padding, (*PADDINGS, "valid"))
        pairs = zip(size, window, strict=True)
        return tuple(_pair(padding, n, w, stride) for n, w in pairs)
    try:
        (top, bottom), (left, right) = padding
    except (TypeError, ValueError):
        expected = "a name or ((top, bottom), (left, right))"
        raise fail("padding", expected, padding) from None
    return (int(top), int(bottom)), (int(left), int(right))


def _pair(padding: str, size: int, window: int, stride: int) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    if padding == "symmetric":
        return (window - 1) // 2, (window - 1) // 2
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pad(images: Array, pads: Pairs) -> Array:
    """Zeros around ``(..., H, W, C)``; negative ones cut away."""
    none = (0, 0, 0)
    config = [none] * (images.ndim - 3) + [(*pair, 0) for pair in pads] + [none]
    return lax.pad(images, jnp.zeros((), images.dtype), config)
