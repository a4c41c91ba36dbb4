"""Step rules as optax transformations: from a gradient to a direction, and to a move.

An update is a batch ``(N, H, W, C)``, norms are of each image. A published attack's
rule is a chain::

    optax.chain(smooth(7), momentum(decay=1.0))
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxattr._checks import check_integer, fail
from jaxattr._numerics import norms
from jaxattr.typing import Array, Scalar


def normalize_l1() -> optax.GradientTransformation:
    """``g / mean|g|`` of each image; a gradient that vanishes everywhere stays zero.

    Reference: Dong et al., Boosting Adversarial Attacks with Momentum, CVPR 2018
    (there the sum; with sign steps the two agree, and the released codes take the mean).
    """

    return optax.stateless_with_tree_map(lambda g, _: over_mean_size(g))


def over_mean_size(g: Array) -> Array:
    """``g / mean|g|`` over the last three axes, zero where g vanishes."""
    size = jnp.mean(jnp.abs(g), axis=(-3, -2, -1), keepdims=True)
    # Two wheres: a division by zero would be NaN in the derivative too.
    return jnp.where(size == 0, 0, g / jnp.where(size == 0, 1, size))


def momentum(decay: Scalar) -> optax.GradientTransformation:
    """``d ← μ d + g / mean|g|``: the momentum of transferable attacks.

    Args:
      decay: μ; zero leaves the normalised gradient.

    Reference: Dong et al., CVPR 2018 (see ``normalize_l1``).
    """
    return optax.chain(normalize_l1(), optax.trace(decay))


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


def sign_step(step_size: Scalar) -> optax.GradientTransformation:
    """``α sign(d)``: every value moves by the same signed size."""
    return optax.stateless_with_tree_map(lambda d, _: step_size * jnp.sign(d))


def decaying_sign_step(
    step_size: Scalar, decay: Scalar
) -> optax.GradientTransformation:
    """``α Mₜ ⊙ sign(dₜ)``: steps that shrink where the sign turns.

    ``Mₜ = Mₜ₋₁ ⊙ (1 where sign(dₜ) = sign(dₜ₋₁), else η)``, ``M₋₁ = 1/η`` and
    ``d₋₁ = 0``, so the first step is whole.

    Args:
      step_size: α, signed.
      decay: η.

    Reference: Zhu et al., Boosting Adversarial Transferability via Gradient Relevance
    Attack, ICCV 2023.
    """

    def init(params: Array) -> tuple[Array, Array]:
        return jnp.zeros_like(params), jnp.full_like(params, 1 / decay)

    def update(
        d: Array, state: tuple[Array, Array], params: object = None
    ) -> tuple[Array, tuple[Array, Array]]:
        last, scale = state
        sign = jnp.sign(d)
        scale = scale * jnp.where(sign == last, 1, decay).astype(scale.dtype)
        return step_size * scale * sign, (sign, scale)

    return optax.GradientTransformation(init, update)


def normalized_step(step_size: Scalar) -> optax.GradientTransformation:
    """``α d / ‖d‖₂`` of each image; a direction that vanishes moves nothing."""

    return optax.stateless_with_tree_map(lambda d, _: step_size * unit(d))


def adam(step_size: Scalar) -> optax.GradientTransformation:
    """``α m̂ / (√v̂ + ε)``, the bias-corrected means of g and g², value by value.

    That of optax, which needs loose dtype promotion.

    Reference: Kingma, Ba. Adam: A Method for Stochastic Optimization. ICLR 2015,
    arXiv:1412.6980.
    """
    rule = optax.chain(optax.scale_by_adam(), optax.scale(step_size))

    def update(
        gradient: Array, state: optax.OptState, params: object = None
    ) -> tuple[Array, optax.OptState]:
        with jax.numpy_dtype_promotion("standard"):
            return rule.update(gradient, state, params)

    return optax.GradientTransformation(rule.init, update)


def weigh_by_relevance() -> optax.GradientTransformation:
    """``s g + (1 - s) ḡ`` of a pair ``(g, ḡ)``, s their cosine, image by image.

    Reference: Zhu et al., ICCV 2023 (see ``decaying_sign_step``).
    """

    def combine(updates: tuple[Array, Array], params: object) -> Array:
        g, mean = updates
        s = cosine(g, mean)
        return s * g + (1 - s) * mean

    return optax.stateless(combine)


def tune_variance() -> optax.GradientTransformation:
    """``g + v`` of a pair ``(g, ḡ)``, then ``v ← ḡ - g`` for the next step.

    Reference: Wang, He. Enhancing the Transferability of Adversarial Attacks through
    Variance Tuning. CVPR 2021.
    """

    def update(
        pair: tuple[Array, Array], variance: Array, params: object = None
    ) -> tuple[Array, Array]:
        g, mean = pair
        return g + variance, mean - g

    return optax.GradientTransformation(jnp.zeros_like, update)


def cosine(a: Array, b: Array) -> Array:
    """The cosine of two images over their last three axes, kept; 0 if one vanishes."""
    return jnp.sum(unit(a) * unit(b), (-3, -2, -1), keepdims=True)


def unit(x: Array) -> Array:
    """``x / ‖x‖₂`` over the last three axes, zero where x vanishes."""
    return norms.unit(x, (-3, -2, -1))
