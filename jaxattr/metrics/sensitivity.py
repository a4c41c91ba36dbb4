"""How much an explanation changes when the image hardly does, drawn at random."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr._checks import check_images, check_integer, check_key, check_number
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array, Scalar


def max_sensitivity(
    explain_fn: Callable[[Array], Array],
    images: Array,
    *,
    key: Array | None = None,
    radius: Scalar = 0.02,
    num_samples: int = 10,
) -> Array:
    """The largest relative change of the map within a small cube around the image.

    ``maxₛ ‖A(x + δₛ) - A(x)‖₂ / ‖A(x)‖₂``, ``δₛ ~ U(-r, r)`` for every value: a lower
    bound of the true maximum that grows with the samples.

    Args:
      explain_fn: images ``(N, H, W, C)`` to maps ``(N, H, W, C)``; only ever called
        with exactly the N images, in order.
      images: float ``(N, H, W, C)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      radius: r in pixel units; points are not clipped.
      num_samples: explanations an image.

    Returns:
      ``(N,)``; 0 where the map is all zeros.

    Raises:
      ValueError: images of another shape, no key, fewer than one sample.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.ones((1, 2, 2, 3))
      >>> ja.max_sensitivity(lambda x: 0 * x + 1, images, key=jax.random.key(0))
      Array([0.], dtype=float32)

    References:
      Yeh, Hsieh, Suggala, Inouye, Ravikumar. On the (In)fidelity and Sensitivity of
      Explanations. NeurIPS 2019, arXiv:1901.09392.
    """
    return _largest(
        lambda change, distance, size: _quotient(change, size),
        explain_fn,
        images,
        key,
        radius,
        num_samples,
    )


def local_lipschitz(
    explain_fn: Callable[[Array], Array],
    images: Array,
    *,
    key: Array | None = None,
    radius: Scalar = 0.02,
    num_samples: int = 10,
) -> Array:
    """The steepest change of the map within a small cube around the image.

    ``maxₛ ‖A(x + δₛ) - A(x)‖₂ / ‖δₛ‖₂``, ``δₛ ~ U(-r, r)`` for every value: a lower
    bound of the local Lipschitz constant.

    Args:
      explain_fn: images ``(N, H, W, C)`` to maps ``(N, H, W, C)``; only ever called
        with exactly the N images, in order.
      images: float ``(N, H, W, C)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      radius: r in pixel units, above 0; points are not clipped.
      num_samples: explanations an image.

    Returns:
      ``(N,)``, in units of the map per unit of pixel value.

    Raises:
      ValueError: images of another shape, no key, fewer than one sample.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.ones((1, 2, 2, 3))
      >>> steepest = ja.local_lipschitz(lambda x: 3 * x, images, key=jax.random.key(0))
      >>> f"{steepest[0]:.3f}"
      '3.000'

    References:
      Alvarez-Melis, Jaakkola. On the Robustness of Interpretability Methods. 2018,
      arXiv:1806.08049.
    """
    return _largest(
        lambda change, distance, size: _quotient(change, distance),
        explain_fn,
        images,
        key,
        radius,
        num_samples,
    )


def _largest(
    ratio: Callable[[Array, Array, Array], Array],
    explain_fn: Callable[[Array], Array],
    images: Array,
    key: Array | None,
    radius: Scalar,
    num_samples: int,
) -> Array:
    """The maximum over draws of ``ratio(‖A(x + δ) - A(x)‖, ‖δ‖, ‖A(x)‖)``; NaN stays."""
    images = widen(check_images(images))
    keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int))
    radius = check_number("radius", radius, 0.0)
    num_samples = check_integer("num_samples", num_samples)
    maps = widen(explain_fn(images))
    length = lambda maps: norms.norm(maps, tuple(range(1, maps.ndim)))
    size = length(maps)

    def sample(largest: Array, index: Array) -> tuple[Array, None]:
        drawn = _random.uniform(
            _random.fold_in(keys, index), images.shape[1:], images.dtype, -1.0, 1.0
        )
        points = images + radius * drawn
        change = length(widen(explain_fn(points)) - maps)
        return jnp.maximum(largest, ratio(change, length(points - images), size)), None

    start = jnp.zeros_like(images[:, 0, 0, 0])
    return jax.lax.scan(sample, start, jnp.arange(num_samples))[0]


def _quotient(above: Array, below: Array) -> Array:
    return jnp.where(below == 0, 0, above / jnp.where(below == 0, 1, below))
