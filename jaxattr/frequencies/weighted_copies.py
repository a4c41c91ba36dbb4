"""Random copies whose low and high frequencies are perturbed in different measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import _random
from jaxattr._numerics import norms
from jaxattr.frequencies import fourier
from jaxattr.frequencies.transforms import dct2, idct2
from jaxattr.typing import Array, Perturbation, Scalar

TRANSFORMS = ("fft", "dct")
PERTURBED = ("both", "noise", "gain")


def energy_cutoff(
    images: Array, energy: Scalar, *, norm: str = "l2", include_dc: bool = False
) -> Array:
    """The smallest radius within which an image has a share of its energy.

    ``r_c = max(1, min {r : E(r) ≥ τ})``, E(r) the energy of all channels at integer
    frequencies of radius at most r over that at all, without the mean unless
    ``include_dc``. A constant image has ``r_c = 1``.

    Args:
      images: float ``(N, H, W, C)``.
      energy: τ in (0, 1].
      norm: of the radius of a frequency (u, v), ``l2`` or ``linf``.
      include_dc: count the mean.

    Returns:
      ``(N,)`` integers, in cycles an image.
    """
    height, width = images.shape[1:3]
    # The radius is the same whatever the unit: squares stay in range.
    images = images / norms.scale_of(images, (1, 2, 3))
    size = jnp.sum(images**2, axis=(1, 2, 3))
    if not include_dc:
        # Before the transform: its rounding is relative to the largest coefficient.
        images = images - jnp.mean(images, axis=(1, 2), keepdims=True)
    real, imaginary = fourier.rfft2(images)
    power = jnp.sum(real**2 + imaginary**2, axis=1)
    # Half of the frequencies; but for two columns each stands for its mirror image too.
    u, v = np.fft.fftfreq(height, 1 / height).round(), np.arange(width // 2 + 1)
    times = np.where((v == 0) | (2 * v == width), 1, 2)[None, None, :]
    power = power * jnp.asarray(times, power.dtype)
    # A frequency lies within the integer radius r if its radius, rounded up, does.
    ring = np.ceil(_radius(u, v, norm)).astype(int).reshape(-1)
    rings = jax.vmap(
        lambda p: jax.ops.segment_sum(p, ring, num_segments=int(ring.max()) + 1)
    )(power.reshape(len(images), -1))
    inside = jnp.cumsum(rings, axis=-1)
    # The last ring is always enough, whatever the rounding of the sum.
    enough = inside >= energy * inside[:, -1:]
    enough = enough.at[:, -1].set(True)
    # An image that is constant but for rounding has no frequencies.
    rounding = (10 * jnp.finfo(images.dtype).eps) ** 2 * height * width * size
    enough |= (inside[:, -1] <= rounding)[:, None]
    return jnp.maximum(jnp.argmax(enough, axis=-1), 1)


def band_weights(
    cutoff: Array,
    shape: tuple[int, int],
    alpha: Scalar,
    *,
    gamma: Scalar = 2.0,
    alpha_on: str = "low",
    norm: str = "l2",
    transform: str = "fft",
) -> Array:
    """``γ (α L + (1 - α) H)``: L one up to the cutoff, mean included, H one above it.

    Args:
      cutoff: ``(N,)`` radii in cycles an image.
      shape: height and width.
      alpha: α; one half weighs all alike.
      gamma: γ; with 2, one half gives a weight of one.
      alpha_on: the band that α weighs, ``low`` or ``high``.
      norm: of the radius.
      transform: ``fft``, weights for ``rfft2``, or ``dct`` for ``dct2``.

    Returns:
      ``(N, H, W // 2 + 1, 1)`` for ``fft``, ``(N, H, W, 1)`` for ``dct``.
    """
    height, width = shape
    if transform == "fft":
        u, v = np.fft.fftfreq(height, 1 / height), np.fft.rfftfreq(width, 1 / width)
    else:  # half a cycle an index
        u, v = np.arange(height) / 2, np.arange(width) / 2
    radius = jnp.asarray(_radius(u, v, norm))[None, :, :, None]
    low = radius <= cutoff.astype(radius.dtype)[:, None, None, None]
    on_low = alpha if alpha_on == "low" else 1 - alpha
    return gamma * jnp.where(low, on_low, 1 - on_low)


def weighted_copies(
    weights_of: Callable[[Array], Array],
    stddev: Scalar,
    rho: Scalar,
    *,
    perturb: str = "both",
    transform: str = "fft",
) -> Perturbation:
    """``F⁻¹((1 + ρ W U) ⊙ (F x + W ⊙ N))``, N like ``F ξ``, ``ξ ~ N(0, σ²)``.

    U is drawn from ``U(-1, 1)``. The transform of white noise is white, so N is drawn and
    nothing transformed. With W = 1 and the cosine transform these are
    ``spectral_copies`` in distribution. ``fft`` draws on the half plane of ``rfft2``; on
    the columns that are their own mirror image the inverse averages what was drawn for
    ±u.

    Args:
      weights_of: images ``(N, H, W, C)`` to W (see ``band_weights``).
      stddev: σ in pixel units.
      rho: ρ.
      perturb: ``both``; ``noise`` weighs the noise and draws the gain unweighted;
        ``gain`` the other way round.
      transform: ``fft`` or ``dct``.
    """
    domain = _DOMAINS[transform]

    def prepare(images: Array) -> Callable[[Array], Array]:
        size, dtype = (images.shape[-3], images.shape[-2]), images.dtype
        weights = weights_of(images)
        spectrum = domain.forward(images)
        shape = spectrum[0].shape[1:]
        weights = domain.arrange(weights).astype(dtype)
        noise_weights = weights if perturb != "gain" else jnp.ones_like(weights)
        noise_weights = noise_weights * jnp.asarray(domain.deviations(*size), dtype)
        gain_weights = weights if perturb != "noise" else jnp.ones_like(weights)

        def draw(keys: Array) -> Array:
            noise_keys, gain_keys = _random.split(keys, 2)
            spread = lambda x: x.reshape((1,) * (keys.ndim - 1) + x.shape)
            noise = stddev * _random.normal(noise_keys, (len(spectrum), *shape), dtype)
            noise = jnp.moveaxis(noise, keys.ndim, 0)
            gain = _random.uniform(gain_keys, shape, dtype, -1.0, 1.0)
            factor = 1 + rho * spread(gain_weights) * gain
            return domain.inverse(
                [
                    factor * (spread(part) + spread(noise_weights) * noise[i])
                    for i, part in enumerate(spectrum)
                ],
                size,
            )

        return draw

    return prepare


class _Domain(NamedTuple):
    """A transform of images to arrays of real numbers, and back."""

    forward: Callable[[Array], Sequence[Array]]
    inverse: Callable[[Sequence[Array], tuple[int, int]], Array]
    arrange: Callable[[Array], Array]
    """Weights ``(N, H, W', 1)`` laid out as the coefficients are."""
    deviations: Callable[[int, int], np.ndarray]
    """Of the coefficients of noise of variance one, laid out as they are."""


def _rfft2_deviations(height: int, width: int) -> np.ndarray:
    """``√(HW / 2)``; of columns whose ±u will be averaged, ``√2`` times that."""
    column = np.arange(width // 2 + 1)
    is_mirror = (column == 0) | (2 * column == width)
    return np.sqrt(height * width * np.where(is_mirror, 1, 0.5))[None, None, None]


_DOMAINS = {
    "fft": _Domain(
        fourier.rfft2,
        lambda parts, size: fourier.irfft2(parts[0], parts[1], width=size[1]),
        lambda weights: jnp.moveaxis(weights, -1, -3),
        _rfft2_deviations,
    ),
    "dct": _Domain(
        lambda images: (dct2(images),),
        lambda parts, size: idct2(parts[0]),
        lambda weights: weights,
        lambda height, width: np.ones((1, 1, 1, 1)),  # it is orthonormal
    ),
}


def _radius(u: np.ndarray, v: np.ndarray, norm: str) -> np.ndarray:
    u, v = np.abs(u)[:, None], np.abs(v)[None, :]
    return np.hypot(u, v) if norm == "l2" else np.maximum(u, v)
