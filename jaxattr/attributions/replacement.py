"""What stands in for the parts of an image that are taken away."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._checks import check_bounds, check_like_images
from jaxattr.typing import Array, Bounds

_ROUNDING = 1e-3
"""So far outside the bounds, in parts of their width, is rounding or blur."""


def check_substrate(substrate: object, images: Array, bounds: Bounds) -> Array:
    """A number, an image or images as ``(N, H, W, C)``, within the bounds where known."""
    low, high = check_bounds(bounds)
    known = not isinstance(substrate, jax.core.Tracer)
    known = known and getattr(substrate, "is_fully_addressable", True)
    checked = check_like_images("substrate", substrate, images)
    if known and isinstance(low, float) and isinstance(high, float):
        values = np.asarray(jax.device_get(substrate), float)
        least, most = values.min(), values.max()
        margin = _ROUNDING * (high - low)
        if not low - margin <= least <= most <= high + margin:
            got = f"{least:g}" if least == most else f"{least:g} to {most:g}"
            raise ValueError(
                f"substrate: expected values within the bounds {low:g} to {high:g}, got "
                f"{got}; bounds= says which pixels there are"
            )
    return checked


def shown(images: Array, substrate: Array, masks: Array) -> Array:
    """``s + m (x - s)`` for masks ``(S, N, H, W)`` in [0, 1]: ``(S, N, H, W, C)``."""
    return substrate[None] + masks[..., None] * (images - substrate)[None]


def selected(images: Array, substrate: Array, keep: Array) -> Array:
    """The image where it is kept ``(S, N, H, W)`` bool, else the substrate."""
    return jnp.where(keep[..., None], images[None], substrate[None])


def as_maps(values: Array, images: Array) -> Array:
    """``(N, H, W)`` as maps ``(N, H, W, C)``, the same in every channel."""
    # Added to zeros rather than broadcast: so it is sharded as the images are.
    return jnp.zeros_like(images) + values[..., None].astype(images.dtype)
