"""Attacks that average the gradient over random spectral copies of the point.

Each function returns an ``Attack``. The copies are ``IDCT(DCT(x + σξ) ⊙ M)``, those of
``fampe`` with weighted bands. ``sigma`` is in pixel units.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import optax

from jaxattr._checks import check_choice, check_integer, check_number
from jaxattr.attacks.attack import Attack, Problem
from jaxattr.frequencies import bands, weighted_copies
from jaxattr.gradients import averaged_gradient
from jaxattr.perturbations import input_diversity, spectral_copies
from jaxattr.steps import momentum, smooth
from jaxattr.typing import Array, GradientFn, Perturbation, Scalar


def ssa(
    num_samples: int = 20,
    rho: float = 0.5,
    sigma: float = 16 / 255,
    decay: float = 1.0,
) -> Attack:
    """Spectrum simulation: momentum of the gradient averaged over spectral copies.

    With the momentum that comparisons use: TransferAttack calls it SSM, with
    ``decay=1.0``. The authors' script has plain sign steps, ``ssa(decay=0.0)``, and
    transfers less. Long et al. Frequency Domain Model Augmentation for Adversarial
    Attack. ECCV 2022.
    """

    def averaged(problem: Problem) -> GradientFn:
        return averaged_gradient(
            problem.loss,
            at=spectral_copies(sigma, rho),
            num_samples=num_samples,
            samples_per_call=problem.samples_per_call,
        )

    return Attack(averaged, momentum(decay))


def attexplore(
    *,
    num_samples: int = 20,
    sigma: Scalar = 16 / 255,
    rho: Scalar = 0.5,
    decay: float = 1.0,
    diversity_probability: Scalar = 0.5,
    diversity_rate: float = 1.15,
    smoothing_size: int = 7,
) -> Attack:
    """``ssa`` through input diversity, smoothed before the momentum.

    The attack that ``ja.attexplore`` follows, which explains the options. Zhu et al.
    AttEXplore: Attribution for Explanation with model parameters eXploration. ICLR 2024.

    Raises:
      ValueError: a number out of its range; an even ``smoothing_size``.
    """
    sigma = check_number("sigma", sigma, 0.0)
    rho = check_number("rho", rho, 0.0)
    return _averaged_over_copies(
        lambda _: spectral_copies(sigma, rho),
        num_samples=num_samples,
        decay=decay,
        diversity_probability=diversity_probability,
        diversity_rate=diversity_rate,
        smoothing_size=smoothing_size,
    )


def fampe(
    alpha: Scalar = 0.1,
    energy: Scalar = 0.9,
    *,
    alpha_on: str = "low",
    gamma: Scalar = 2.0,
    norm: str = "l2",
    include_dc: bool = False,
    cutoff: str | Scalar = "image",
    perturb: str = "both",
    transform: str = "fft",
    num_samples: int = 20,
    sigma: Scalar = 16 / 255,
    rho: Scalar = 0.5,
    decay: float = 1.0,
    diversity_probability: Scalar = 0.5,
    diversity_rate: float = 1.15,
    smoothing_size: int = 7,
) -> Attack:
    """Frequency-aware: momentum of the gradient at copies with weighted bands.

    The attack that ``ja.fampe`` follows, which explains the options. Yavari et al.
    Frequency-Aware Model Parameter Explorer. 2025, arXiv:2510.03245.

    Raises:
      ValueError: a number out of its range; an unknown name of a switch.
    """
    alpha = check_number("alpha", alpha, 0.0, 1.0)
    energy = check_number("energy", energy, 1e-6, 1.0)
    sigma = check_number("sigma", sigma, 0.0)
    rho = check_number("rho", rho, 0.0)
    check_choice("alpha_on", alpha_on, ("low", "high"))
    check_choice("norm", norm, bands.NORMS)
    check_choice("perturb", perturb, weighted_copies.PERTURBED)
    check_choice("transform", transform, weighted_copies.TRANSFORMS)
    gamma = check_number("gamma", gamma, 0.0)
    if isinstance(cutoff, str):
        check_choice("cutoff", cutoff, ("image", "step"))
    else:
        cutoff = check_number("cutoff", cutoff, 0.0)

    def weights(images: Array) -> Array:
        radius = cutoff
        if isinstance(cutoff, str):
            radius = weighted_copies.energy_cutoff(
                images, energy, norm=norm, include_dc=include_dc
            )
        return weighted_copies.band_weights(
            jnp.broadcast_to(jnp.asarray(radius), images.shape[:1]),
            (images.shape[1], images.shape[2]),
            alpha,
            gamma=gamma,
            alpha_on=alpha_on,
            norm=norm,
            transform=transform,
        )

    def copies(clean: Array) -> Perturbation:
        once = None if cutoff == "step" else weights(clean)
        return weighted_copies.weighted_copies(
            weights if once is None else lambda _: once,
            sigma,
            rho,
            perturb=perturb,
            transform=transform,
        )

    return _averaged_over_copies(
        copies,
        num_samples=num_samples,
        decay=decay,
        diversity_probability=diversity_probability,
        diversity_rate=diversity_rate,
        smoothing_size=smoothing_size,
    )


def _averaged_over_copies(
    copies: Callable[[Array], Perturbation],
    *,
    num_samples: int,
    decay: float,
    diversity_probability: Scalar,
    diversity_rate: float,
    smoothing_size: int,
) -> Attack:
    """What ``attexplore`` and ``fampe`` share: they differ in their copies.

    ``copies`` takes the clean images, before the path begins.
    """
    num_samples = check_integer("num_samples", num_samples)
    diversity_probability = check_number(
        "diversity_probability", diversity_probability, 0.0, 1.0
    )
    never = isinstance(diversity_probability, int | float) and not diversity_probability
    through = None
    if not never:
        through = input_diversity(diversity_probability, diversity_rate)

    def gradient(problem: Problem) -> GradientFn:
        return averaged_gradient(
            problem.loss,
            at=copies(problem.images),
            through=through,
            num_samples=num_samples,
            samples_per_call=problem.samples_per_call,
        )

    return Attack(gradient, optax.chain(smooth(smoothing_size), momentum(decay)))
