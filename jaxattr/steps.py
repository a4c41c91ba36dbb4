"""Step rules as optax transformations: from a gradient to a direction, and to a move.

An update is a batch ``(N, H, W, C)``, norms are of each image. A published attack's
rule is a chain::

    optax.chain(smooth(7), normalize_l1(), optax.trace(decay=1.0))

``optax.trace`` is the field's momentum, ``m ← g + μ m``.
"""

from __future__ import annotations


import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxattr._checks import check_integer, fail
from jaxattr.typing import Array


def normalize_l1() -> optax.GradientTransformation:
    """``g / mean|g|`` of each image; a gradient that vanishes everywhere stays zero.

    Reference: Dong et al., Boosting Adversarial Attacks with Momentum, CVPR 2018
    (there the sum; with sign steps the two agree, and the released codes take the mean).
    """

    def normalize(g: Array) -> Array:
        norm = jnp.mean(jnp.abs(g), axis=(1, 2, 3), keepdims=True)
        # Two wheres: a division by zero would be NaN in the derivative too.
        safe = jnp.where(norm > 0, norm, 1)
        return jnp.where(norm > 0, g / safe, 0)

    return optax.stateless_with_tree_map(lambda g, _: normalize(g))


def smooth(size: int, stddev: float | None = None) -> optax.GradientTransformation:
    """``K * g``: every channel convolved with a Gaussian, zeros beyond the border.

    Args:
      size: taps an axis, odd; 0 or 1 leaves the gradient as it is.
      stddev: of the Gaussian in taps; by default the taps span three of them each way.

    Reference: Dong et al., Evading Defenses to Transferable Adversarial Examples by
    Translation-Invariant Attacks, CVPR 2019.
    """
    size = check_integer("smoothing_size", size, 0)
    if size <= 1:
        return optax.identity()
    if size % 2 == 0:
        raise fail("smoothing_size", "an odd number of taps, or 0 for none", size)
    kernel = gaussian_kernel(size, stddev)
    return optax.stateless_with_tree_map(lambda g, _: convolve_separable(g, kernel))


def gaussian_kernel(size: int, stddev: float | None = None) -> np.ndarray:
    """Weights ``(size,)`` that sum to one: the normal density at evenly spaced taps."""
    stddev = (size - 1) / 6 if stddev is None else stddev
    taps = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (taps / stddev) ** 2)
    return weights / weights.sum()


def convolve_separable(images: Array, kernel: np.ndarray) -> Array:
    """Each channel with ``kernel ⊗ kernel``, same size, zero padding.

    A sum of shifted copies along each axis: XLA's grouped convolution is far slower on
    CPU, and this is as fast elsewhere.
    """
    before = (len(kernel) - 1) // 2
    for axis in (1, 2):
        length = images.shape[axis]
        pad = [(0, 0)] * 4
        pad[axis] = (before, len(kernel) - 1 - before)
        padded = jnp.pad(images, pad)
        images = sum(
            w * jax.lax.slice_in_dim(padded, k, k + length, axis=axis)
            for k, w in enumerate(kernel.tolist())
        )
    return images


def sign_step(step_size: Any) -> optax.GradientTransformation:
    """``α sign(d)``: every value moves by the same signed size."""
    return optax.stateless_with_tree_map(lambda d, _: step_size * jnp.sign(d))
