"""FAMPE: AttEXplore with low and high frequencies perturbed in different measure."""

from __future__ import annotations

from jaxattr import attacks
from jaxattr.attributions.exploration import explore
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar


def fampe(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    alpha: Scalar = 0.1,
    energy: Scalar = 0.9,
    alpha_on: str = "low",
    gamma: Scalar = 2.0,
    norm: str = "l2",
    include_dc: bool = False,
    cutoff: str | Scalar = "image",
    perturb: str = "both",
    transform: str = "fft",
    epsilon: Scalar = 16 / 255,
    num_steps: int = 10,
    num_samples: int = 20,
    sigma: Scalar = 16 / 255,
    rho: Scalar = 0.5,
    decay: float = 1.0,
    diversity_probability: Scalar = 0.5,
    diversity_rate: float = 1.15,
    smoothing_size: int = 7,
    direction: str = "descend",
    softmax_stack: int = 1,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """Frequency-aware model parameter explorer.

    ``attexplore`` with the random copies of ``ja.attacks.fampe``. Frequencies up to a
    cutoff r_c, within which an image has the share τ of its energy, are perturbed with
    weight α and those above with ``1 - α``::

        W = γ (α [r ≤ r_c] + (1 - α) [r > r_c])
        z = F⁻¹((1 + ρ W U) ⊙ (F x + W ⊙ F ξ)),  ξ ~ N(0, σ²),  U ~ U(-1, 1)

    Only the abstracts of the paper are public, and no code: that α mixes low and high
    frequencies around an energy-driven cutoff, with α = 0.1, is from there. Every other
    choice is this library's, named so that it can be changed.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      alpha: α in [0, 1]; one half perturbs all frequencies alike.
      energy: τ in (0, 1].
      alpha_on: which band α weighs, ``low`` or ``high``.
      gamma: γ; with 2, α = 0.5 is AttEXplore on Fourier coefficients.
      norm: of a frequency's radius, ``l2`` or ``linf``.
      include_dc: count the mean as energy; the cutoff then is far lower.
      cutoff: ``image``, once on the clean image; ``step``, anew at every point of the
        path; or a number, the same radius for all, in cycles an image. That is how a
        cutoff of the data set is given: the mean or the median of
        ``jaxattr.frequencies.energy_cutoff(images, energy)`` over its images.
      perturb: ``both``, ``noise`` or ``gain``: what is weighted.
      transform: ``fft`` or ``dct``.
      epsilon: as ``attexplore``, and so all that follow.
      num_steps: T.
      num_samples: N.
      sigma: σ in pixel units.
      rho: ρ.
      decay: μ.
      diversity_probability: of resizing and padding a copy.
      diversity_rate: the padded side over the side.
      smoothing_size: taps of the Gaussian an axis.
      direction: ``descend`` or ``ascend`` the loss.
      softmax_stack: how many softmaxes stand before the logarithm.
      bounds: the least and the largest pixel value.

    Returns:
      ``(N, H, W, C)``, non-negative, in pixel units. The sign step has no derivative.

    Raises:
      ValueError: as ``attexplore``; an unknown name of a switch.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.mean(x, axis=(1, 2))
      >>> images, labels = jnp.full((2, 8, 8, 3), 0.5), jnp.array([0, 1])
      >>> ja.fampe(
      ...     logits_fn, images, labels, key=jax.random.key(0), num_steps=2
      ... ).shape
      (2, 8, 8, 3)

    References:
      Yavari, Mohamadi, Beydaghi, Leitgeb, Seeboeck. Frequency-Aware Model Parameter
      Explorer. 2025, arXiv:2510.03245.
    """
    return explore(
        attacks.fampe(
            alpha,
            energy,
            alpha_on=alpha_on,
            gamma=gamma,
            norm=norm,
            include_dc=include_dc,
            cutoff=cutoff,
            perturb=perturb,
            transform=transform,
            num_samples=num_samples,
            sigma=sigma,
            rho=rho,
            decay=decay,
            diversity_probability=diversity_probability,
            diversity_rate=diversity_rate,
            smoothing_size=smoothing_size,
        ),
        logits_fn,
        images,
        labels,
        key=key,
        batch_size=batch_size,
        epsilon=epsilon,
        num_steps=num_steps,
        direction=direction,
        softmax_stack=softmax_stack,
        bounds=bounds,
    )
