"""The transpose of windows that stride: each phase of the pixels by itself.

Pixels ``stride·q + phase`` meet every ``stride``-th place of a window only, so to dilate
what is given back with zeros would be to add mostly zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxattr.convolutions.trilinear import Geometry
from jaxattr.typing import Array


class Phases(NamedTuple):
    """Along one axis: which taps a phase meets, and at which pixels of the cotangent."""

    first: list[int]
    """The first tap of each phase, which meets every ``stride``-th from there."""
    pixels: list[list[slice]]
    """The padded pixels that its taps meet."""
    margins: tuple[int, int]


def phases(geometry: Geometry, axis: int) -> Phases:
    """Where pixel ``stride·q + phase`` meets tap ``first + stride·t`` of the kernel.

    At the cotangent's pixel ``q + (phase + before) // stride - t``, with ``before`` zeros
    before the image.
    """
    stride, (before, _) = geometry.stride, geometry.pads[axis]
    quotient = -(-geometry.size[axis] // stride)
    first = [(phase + before) % stride for phase in range(stride)]
    counts = [len(range(i, geometry.window[axis], stride)) for i in first]
    starts = [
        [(phase + before) // stride - t for t in range(max(count, 1))]
        for phase, count in enumerate(counts)
    ]
    low, high = -min(map(min, starts)), max(map(max, starts))
    pixels = [[slice(low + s, low + s + quotient) for s in each] for each in starts]
    return Phases(first, pixels, (low, high + quotient - geometry.output[axis]))


def of_phases(
    phase: Callable[[int, int], Array], stride: int, size: tuple[int, ...]
) -> Array:
    """All pixels ``(..., H, W, C)``, of a function that gives those of two offsets."""
    rows = [
        _interleave([phase(a, b) for b in range(stride)], axis=-2)
        for a in range(stride)
    ]
    return _interleave(rows, axis=-3)[..., : size[0], : size[1], :]


def _interleave(arrays: list[Array], axis: int) -> Array:
    """``[a₀ b₀ a₁ b₁ …]`` along an axis counted from the end."""
    stacked = jnp.stack(arrays, axis)
    shape = list(arrays[0].shape)
    shape[axis] *= len(arrays)
    return stacked.reshape(shape)
