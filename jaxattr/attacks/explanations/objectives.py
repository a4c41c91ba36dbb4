"""What an attack on an explanation wants: a table of objectives on maps ``(N, H, W)``.

Maps are sizes of pixels with a mean of one. A new kind is a function here that returns
an ``Objective``, a name in ``KINDS`` and a line of ``objective_of``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr._checks import check_integer, fail
from jaxattr._numerics import norms, windows
from jaxattr._numerics.rankings import top_k_mask
from jaxattr.typing import Array

Measure = Callable[[Array, Array], Array]
"""Maps of the image and of a point to ``(N,)``: the point with the least is kept."""

KINDS = ("mass_center", "random_sign", "target", "top_k")


class Objective(NamedTuple):
    """What the steps ascend, and by what the best of them is chosen."""

    ascended: Callable[[Array], Array] | None
    """Maps of the points to ``(N,)``; None where steps are drawn at random."""
    measure: Measure


def objective_of(
    kind: str, original: Array, *, k: int, window: int, target: Array | None
) -> Objective:
    """The objective of that name, relative to the maps of the images."""
    if kind == "top_k":
        return top_k(original, k, window)
    if kind == "mass_center":
        return mass_center(original)
    if kind == "random_sign":
        return Objective(None, top_k_overlap(k))
    assert target is not None
    return toward(target)


def top_k(original: Array, k: int, window: int) -> Objective:
    """Presses down the image's top k pixels and all within the window of them."""
    pressed = windows.dilate(_top(original, k), window)
    return Objective(
        lambda maps: -jnp.sum(jnp.where(pressed, maps, 0), axis=(1, 2)),
        top_k_overlap(k),
    )


def mass_center(original: Array) -> Objective:
    """Moves the centre of mass away from where it is."""
    # Rounded down, as released: at the centre itself the gradient would be zero, and the
    # first step would go nowhere.
    center = jnp.floor(_center(original))

    def nearness(a: Array, b: Array) -> Array:
        shift = _center(b) - _center(a)
        return -norms.norm(shift, -1)

    return Objective(
        lambda maps: jnp.sum((_center(maps) - center) ** 2, axis=-1), nearness
    )


def toward(target: Array) -> Objective:
    """Gathers the map on a target, weights ``(N, H, W)``."""
    return Objective(
        lambda maps: jnp.sum(maps * target, axis=(1, 2)),
        lambda a, b: -jnp.mean(b * target, axis=(1, 2)),
    )


def top_k_overlap(k: int) -> Measure:
    """``|Sₖ ∩ S'ₖ| / k``."""
    return lambda a, b: (
        jnp.sum(_top(a, k) & _top(b, k), axis=(1, 2)).astype(a.dtype) / k
    )


def check_k(k: int | None, kind: str, measure: Measure | None, images: Array) -> int:
    """The size of the top set; all pixels where none is needed."""
    num_pixels = images.shape[1] * images.shape[2]
    is_used = kind == "top_k" or (kind == "random_sign" and measure is None)
    if k is None and not is_used:
        return num_pixels
    if k is None:
        raise fail("k", "an integer of at least 1", k)
    k = check_integer("k", k)
    if k > num_pixels:
        raise fail("k", f"at most the {num_pixels} pixels of a map", k)
    return k


def check_target(target: Array | None, kind: str, images: Array) -> Array | None:
    """Weights ``(N, H, W)``, None for a kind that has no target."""
    if kind != "target":
        return None
    shape = images.shape[:3]
    expected = f"weights {shape[1:]} or {shape} for kind='target'"
    if target is None or jnp.shape(target) not in (shape[1:], shape):
        raise fail("target", expected, target)
    return jnp.broadcast_to(jnp.asarray(target).astype(images.dtype), shape)


def _top(maps: Array, k: int) -> Array:
    return top_k_mask(maps.reshape(maps.shape[0], -1), k).reshape(maps.shape)


def _center(maps: Array) -> Array:
    """``Σ A · (row, column) / (H W)``, ``(N, 2)``."""
    size = maps.shape[1] * maps.shape[2]
    places = [
        jnp.sum(maps * jax.lax.broadcasted_iota(maps.dtype, maps.shape, axis), (1, 2))
        for axis in (1, 2)
    ]
    return jnp.stack(places, axis=-1) / size
