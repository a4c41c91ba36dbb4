"""Random image maps, each in two stages: ``draw = map(images)``, then ``draw(keys)``.

Keys are ``(..., N)``, one for each image and draw; every image's draw is its own. All
work in pixel units and none clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import _random
from jaxattr._numerics import norms
from jaxattr.frequencies import transforms
from jaxattr.typing import Array, Perturbation, Scalar


def repeated(images: Array) -> Callable[[Array], Array]:
    """``x`` itself, once for each draw."""

    def draw(keys: Array) -> Array:
        return jnp.broadcast_to(_per_draw(images, keys), keys.shape + images.shape[-3:])

    return draw


def gaussian(stddev: Scalar) -> Perturbation:
    """``x + σ ξ``, ``ξ ~ N(0, 1)`` for every value."""

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype

        def draw(keys: Array) -> Array:
            return _per_draw(images, keys) + stddev * _random.normal(keys, shape, dtype)

        return draw

    return prepare


def uniform(radius: Scalar) -> Perturbation:
    """``x + u``, ``u ~ U(-r, r)`` for every value."""

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype

        def draw(keys: Array) -> Array:
            noise = _random.uniform(keys, shape, dtype, -1.0, 1.0)
            return _per_draw(images, keys) + radius * noise

        return draw

    return prepare


def uniform_ball(radius: Scalar) -> Perturbation:
    """``x + u``, u uniform in the Euclidean ball of radius r, of D dimensions.

    ``u = r U^{1/D} ξ / ‖ξ‖₂``, ``ξ ~ N(0, I)``, ``U ~ U(0, 1)``.
    """

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype
        power = 1 / math.prod(shape)

        def draw(keys: Array) -> Array:
            ray_keys, length_keys = _random.split(keys, 2)
            ray = norms.unit(_random.normal(ray_keys, shape, dtype), (-3, -2, -1))
            length = _random.uniform(length_keys, (1, 1, 1), dtype) ** power
            return _per_draw(images, keys) + radius * length * ray

        return draw

    return prepare


def spectral_copies(stddev: Scalar, rho: Scalar) -> Perturbation:
    """``IDCT(DCT(x + σ ξ) ⊙ M)``, ``ξ ~ N(0, 1)``, ``M ~ U(1 - ρ, 1 + ρ)`` elementwise.

    The noise is drawn in the cosine domain, where it is white too, so the image is
    transformed once however many copies are drawn.

    Reference: Long et al., Frequency Domain Model Augmentation for Adversarial Attack,
    ECCV 2022.
    """

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype
        coefficients = transforms.dct2(images)

        def draw(keys: Array) -> Array:
            noise_keys, gain_keys = _random.split(keys, 2)
            noise = stddev * _random.normal(noise_keys, shape, dtype)
            gain = _random.uniform(gain_keys, shape, dtype, 1 - rho, 1 + rho)
            return transforms.idct2((_per_draw(coefficients, keys) + noise) * gain)

        return draw

    return prepare


def spectral_gain(rho: Scalar) -> Perturbation:
    """``IDCT(DCT(x) ⊙ M)``, ``M ~ U(1 - ρ, 1 + ρ)`` elementwise."""

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype
        coefficients = transforms.dct2(images)

        def draw(keys: Array) -> Array:
            gain = _random.uniform(keys, shape, dtype, 1 - rho, 1 + rho)
            return transforms.idct2(_per_draw(coefficients, keys) * gain)

        return draw

    return prepare


def composed(first: Perturbation, second: Perturbation) -> Perturbation:
    """The second map of the first one's draw, each with keys of its own."""

    def prepare(images: Array) -> Callable[[Array], Array]:
        draw_first = first(images)

        def draw(keys: Array) -> Array:
            first_keys, second_keys = _random.split(keys, 2)
            return second(draw_first(first_keys))(second_keys)

        return draw

    return prepare


def input_diversity(probability: Scalar, rate: float) -> Perturbation:
    """Resize to a random size, zero-pad at a random place, resize back; or leave alone.

    With S the side and ``R = ⌊S·rate⌋``: a side s drawn from the integers between S and
    R (the larger left out), bilinear, no antialias; zero-padded to the larger of the
    two, the offsets drawn from ``0 .. rem - 1``; bilinear back to S. With probability
    ``1 - probability`` the image stays as it is. All of it is one linear map, a matrix
    an axis, and it is differentiated.

    Reference: Xie et al., Improving Transferability of Adversarial Examples with Input
    Diversity, CVPR 2019. They pad and leave the larger size; resizing back is what
    models of a fixed input size need.
    """

    def prepare(images: Array) -> Callable[[Array], Array]:
        height, width = images.shape[-3:-1]
        dtype = images.dtype

        def matrices(key: Array) -> tuple[Array, Array]:
            applied, size, top, left = jax.random.uniform(key, (4,), dtype)
            rows = _diversity_matrix(height, rate, size, top)
            columns = _diversity_matrix(width, rate, size, left)
            keep = applied >= probability
            return (
                jnp.where(keep, jnp.eye(height, dtype=dtype), rows),
                jnp.where(keep, jnp.eye(width, dtype=dtype), columns),
            )

        def draw(keys: Array) -> Array:
            rows, columns = _random.per_key(matrices)(keys)
            return transforms.apply_matrices(rows, columns, _per_draw(images, keys))

        return draw

    return prepare


def _diversity_matrix(side: int, rate: float, size: Array, offset: Array) -> Array:
    """``(side, side)``: resize, pad and resize back along one axis, as one matrix.

    Args:
      side: of the image.
      rate: the side after padding over the side, if above one; else of the smallest.
      size: uniform draw in [0, 1) of the resized side.
      offset: uniform draw in [0, 1) of where it is put.
    """
    small, large = sorted((side, int(side * rate)))
    if small == large:
        return jnp.eye(side, dtype=size.dtype)
    resized = small + jnp.floor(size * (large - small))
    start = jnp.floor(offset * (large - resized))
    matrix = jnp.zeros((side, side), size.dtype)
    # A row of the way back mixes two rows of the padded image, each of which mixes two
    # of the image: bilinear weights are the triangle 1 - |distance|.
    for tap, weight in _bilinear_taps(large, side):
        row, mixed = (jnp.asarray(v, size.dtype)[:, None] for v in (tap, weight))
        source = jnp.clip((row - start + 0.5) * side / resized - 0.5, 0, side - 1)
        mixed = jnp.where((row >= start) & (row < start + resized), mixed, 0)
        distance = jnp.abs(source - jnp.arange(side, dtype=size.dtype)[None, :])
        matrix += mixed * jnp.maximum(1 - distance, 0)
    return matrix


def _bilinear_taps(size: int, new_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two source indices and weights of each output of a bilinear resize.

    Half-pixel centres, no antialias.
    """
    source = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    source = np.clip(source, 0, size - 1)
    first = np.floor(source)
    second = np.minimum(first + 1, size - 1)
    return [(first, 1 - (source - first)), (second, source - first)]


def _per_draw(images: Array, keys: Array) -> Array:
    """Images ``(N, H, W, C)`` with as many leading axes as the keys have."""
    return images.reshape((1,) * (keys.ndim + 3 - images.ndim) + images.shape)
