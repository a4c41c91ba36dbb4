"""Random copies whose low and high frequencies are perturbed in different measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import _random
from jaxattr.spectral import after, dct2, idct2
from jaxattr.typing import Array, Perturbation

NORMS = ("l2", "linf")
TRANSFORMS = ("fft", "dct")
PERTURBED = ("both", "noise", "gain")


def energy_cutoff(
    images: Array, energy: Any, *, norm: str = "l2", include_dc: bool = False
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
    size = jnp.sum(images**2, axis=(1, 2, 3))
    if not include_dc:
        # Before the transform: its rounding is relative to the largest coefficient.
        images = images - jnp.mean(images, axis=(1, 2), keepdims=True)
    power = jnp.sum(jnp.abs(jnp.fft.fft2(images, axes=(1, 2))) ** 2, axis=-1)
    u, v = (np.fft.fftfreq(n, 1 / n).round() for n in (height, width))
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
    alpha: Any,
    *,
    gamma: Any = 2.0,
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
    stddev: Any,
    rho: Any,
    *,
    perturb: str = "both",
    transform: str = "fft",
) -> Perturbation:
    """``F⁻¹((1 + ρ W U) ⊙ (F x + W ⊙ F ξ))``, ``ξ ~ N(0, σ²)``, ``U ~ U(-1, 1)``.

    With W = 1 and the cosine transform these are ``spectral_copies`` in distribution.
    ``fft`` draws U on the half plane of ``rfft2``; on the columns that are their own
    mirror image the inverse averages the gains of ±u.

    Args:
      weights_of: images ``(N, H, W, C)`` to W (see ``band_weights``).
      stddev: σ in pixel units.
      rho: ρ.
      perturb: ``both``; ``noise`` weighs the noise and draws the gain unweighted;
        ``gain`` the other way round.
      transform: ``fft`` or ``dct``.
    """
    forward, inverse = _TRANSFORMS[transform]

    def prepare(images: Array) -> Callable[[Array], Array]:
        shape, dtype = images.shape[-3:], images.dtype
        weights = weights_of(images)
        spectrum = forward(after(weights, images))
        weights = weights.astype(spectrum.dtype)
        noise_weights = weights if perturb != "gain" else jnp.ones_like(weights)
        gain_weights = weights if perturb != "noise" else jnp.ones_like(weights)

        def draw(keys: Array) -> Array:
            noise_keys, gain_keys = _random.split(keys, 2)
            stack = keys.ndim - 1
            spread = lambda x: x.reshape((1,) * stack + x.shape)
            noise = stddev * _random.normal(noise_keys, shape, dtype)
            moved = spread(spectrum) + spread(noise_weights) * forward(noise)
            gain = _random.uniform(gain_keys, spectrum.shape[1:], dtype, -1.0, 1.0)
            weighted = spread(gain_weights) * gain.astype(moved.dtype)
            return inverse((1 + rho * weighted) * moved, shape[1])

        return draw

    return prepare


def _rfft2(images: Array) -> Array:
    return jnp.fft.rfft2(images, axes=(-3, -2))


def _irfft2(spectrum: Array, width: int) -> Array:
    size = (spectrum.shape[-3], width)
    return jnp.fft.irfft2(spectrum, s=size, axes=(-3, -2))


_TRANSFORMS: dict[str, tuple[Callable, Callable]] = {
    "fft": (_rfft2, _irfft2),
    "dct": (dct2, lambda spectrum, width: idct2(spectrum)),
}


def _radius(u: np.ndarray, v: np.ndarray, norm: str) -> np.ndarray:
    u, v = np.abs(u)[:, None], np.abs(v)[None, :]
    return np.hypot(u, v) if norm == "l2" else np.maximum(u, v)
