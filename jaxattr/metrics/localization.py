"""Does a map lie on the object? Four measures against boxes or masks."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from jaxattr._checks import check_choice
from jaxattr.metrics._maps import check_maps, nan_where_nan, region
from jaxattr.typing import Array


class Localization(NamedTuple):
    """How far maps lie on objects, ``(N,)`` each; more is better."""

    loc: Array
    """``|Z ∩ U| / (|U| + |Z \\ U|)``: overlap of the positive pixels with the region."""
    energy_game: Array
    """``Σ_{Z∩U} g / Σ_Z g``: the share of the positive mass inside."""
    positive_percentage: Array
    """``Σ_{Z∩U} g / Σ_U |g|``: the positive share of the mass inside."""
    concentration: Array
    """``Σ_Z ĝᵢ / dᵢ``, d the distance from the centre of mass, in unit coordinates."""


def localization(
    maps: Array, boxes: Array, *, concentration_region: str = "image"
) -> Localization:
    """Loc, energy game, positive percentage and concentration of maps.

    With Z the pixels of positive value g, U those of the region, ``ĝ = g / Σ_Z g`` and c
    the centre of mass ``Σ_Z ĝᵢ pᵢ`` of pixel centres p in [0, 1]²::

        loc                 |Z ∩ U| / (|U| + |Z \\ U|)
        energy_game         Σ_{Z∩U} g / Σ_Z g
        positive_percentage Σ_{Z∩U} g / (Σ_{Z∩U} g - Σ_{U\\Z} g)
        concentration       Σ_Z ĝᵢ / max(‖pᵢ - c‖, half a pixel)

    A map of random signs has loc ``b / (1 + b)``, energy game b and positive percentage
    ½ for a region of area fraction b; a flat map has concentration 3.525.

    Args:
      maps: ``(N, H, W)``; sum the channels of an attribution.
      boxes: ``(N, 4)`` as x0, y0, x1, y1 in pixels, half-open: a pixel belongs to the box
        that holds its centre. What lies outside the image is cut off; a box with
        ``x1 < x0``, ``y1 < y0`` or a NaN holds no pixel. Or bool masks ``(N, H, W)``:
        several boxes of an image are a mask.
      concentration_region: ``image``, or ``box``: with ``Z ∩ U`` in place of Z.

    Returns:
      A ``Localization``. A region without pixels has NaN, but for the concentration of
      the image. Where nothing is positive loc is 0 and energy game and concentration
      are NaN; where nothing inside differs from zero the positive percentage is NaN.
      A map that holds a NaN has NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)``, boxes of another shape.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> maps = jnp.array([[[3.0, -1.0], [1.0, 0.0]]])
      >>> found = ja.localization(maps, jnp.array([[0, 0, 2, 1]]))
      >>> [f"{float(values[0]):.3f}" for values in found[:3]]
      ['0.333', '0.750', '0.750']

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257, whose printed formulas were not at hand:
      these agree with its published magnitudes.
    """
    maps = check_maps(maps, "maps")
    check_choice("concentration_region", concentration_region, ("image", "box"))
    inside = region(boxes, maps)
    positive = jnp.maximum(maps, 0)
    is_positive = maps > 0
    area = _count(inside, maps)
    both = _count(inside & is_positive, maps)
    loc = both / (area + _count(is_positive & ~inside, maps))
    mass_inside = _total(jnp.where(inside, positive, 0))
    energy = mass_inside / _total(positive)
    share = mass_inside / _total(jnp.where(inside, maps * jnp.sign(maps), 0))
    has_region = area > 0
    counted = jnp.where(inside, positive, 0)
    is_image = concentration_region == "image"
    concentration = _concentration(positive if is_image else counted)
    loc, energy, share = (
        jnp.where(has_region, values, jnp.nan) for values in (loc, energy, share)
    )
    scores = Localization(loc, energy, share, concentration)
    return Localization(*(nan_where_nan(values, maps) for values in scores))


def _concentration(mass: Array) -> Array:
    """Of non-negative masses ``(N, H, W)``; NaN where there is none."""
    height, width = mass.shape[1:]
    share = mass / _total(mass)[:, None, None]
    y = ((jnp.arange(height, dtype=mass.dtype) + 0.5) / height)[None, :, None]
    x = ((jnp.arange(width, dtype=mass.dtype) + 0.5) / width)[None, None, :]
    center_y, center_x = (_total(share * p)[:, None, None] for p in (y, x))
    distance = jnp.sqrt((y - center_y) ** 2 + (x - center_x) ** 2)
    return _total(share / jnp.maximum(distance, 0.5 / max(height, width)))


def _count(mask: Array, maps: Array) -> Array:
    return jnp.sum(mask, axis=(1, 2)).astype(maps.dtype)


def _total(values: Array) -> Array:
    return jnp.sum(values, axis=(1, 2))
