"""Transferable attacks that gather gradients around the point.

Each function returns an ``Attack``; the defaults are the published settings. Radii
(``beta``, ``zeta``) are in units of ε, ``sigma`` is in pixel units.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax

from jaxattr import _random, perturbations
from jaxattr.attacks.attack import Attack, Problem
from jaxattr.gradients import averaged, averaged_gradient, gradient
from jaxattr.steps import (
    cosine,
    decaying_sign_step,
    momentum,
    over_mean_size,
    smooth,
    tune_variance,
    weigh_by_relevance,
)
from jaxattr.typing import Array, GradientFn


def vmi_fgsm(num_samples: int = 20, beta: float = 1.5, decay: float = 1.0) -> Attack:
    """Momentum of ``g + v``, v the last mean over the neighbours minus the gradient.

    Neighbours are uniform within βε. Wang, He. Enhancing the Transferability of
    Adversarial Attacks through Variance Tuning. CVPR 2021.
    """
    direction = optax.chain(tune_variance(), momentum(decay))
    return Attack(_with_neighbours(num_samples, beta), direction)


def vni_fgsm(num_samples: int = 20, beta: float = 1.5, decay: float = 1.0) -> Attack:
    """``vmi_fgsm`` with every gradient taken at Nesterov's look-ahead.

    Wang, He. CVPR 2021.
    """
    return vmi_fgsm(num_samples, beta, decay)._replace(nesterov=decay)


def gra(
    num_samples: int = 20, beta: float = 3.5, eta: float = 0.94, decay: float = 1.0
) -> Attack:
    """Gradient relevance: gradient and neighbours' mean weighed by their cosine.

    ``c = s g + (1 - s) ḡ``, momentum, and steps that shrink by η where their sign
    turns. Zhu et al. Boosting Adversarial Transferability via Gradient Relevance
    Attack. ICCV 2023.
    """
    return Attack(
        _with_neighbours(num_samples, beta),
        optax.chain(weigh_by_relevance(), momentum(decay)),
        move=lambda problem: decaying_sign_step(problem.step_size, eta),
    )


def pgn(
    num_samples: int = 20, zeta: float = 3.0, gamma: float = 0.5, decay: float = 1.0
) -> Attack:
    """Momentum of a gradient whose norm is penalised, averaged over neighbours.

    ``(1 - γ) g₁ + γ g₂``, g₁ at a uniform neighbour within ζε, g₂ one step
    back from there, ``x + u - α g₁ / mean|g₁|``, α the signed step of the path. Ge et
    al. Boosting Adversarial Transferability by Achieving Flat Local Maxima. NeurIPS
    2023.
    """

    def flat(problem: Problem) -> GradientFn:
        def sample(points: Array):
            draw = perturbations.uniform(zeta * problem.epsilon)(points)

            def gradients(index: Array, keys: Array) -> Array:
                near = draw(keys)
                first = gradient(problem.loss, near)
                back = near - problem.step_size * over_mean_size(first)
                return (1 - gamma) * first + gamma * gradient(problem.loss, back)

            return gradients

        return averaged(sample, num_samples, problem.samples_per_call)

    return Attack(flat, momentum(decay))


def fgsra(
    num_samples: int = 20,
    beta: float = 3.5,
    rho: float = 0.5,
    eta: float = 0.94,
    size: int = 7,
    probability: float = 0.5,
    rate: float = 1.15,
    decay: float = 1.0,
) -> Attack:
    """Frequency-guided sample relevance: spectral neighbours weighed by their cosine.

    ``ḡ = Σₙ wₙ ∇L(D(zₙ))``, ``w = softmax(cos(x, zₙ))`` over the copies
    ``zₙ = IDCT(DCT(x + u) ⊙ M)``, u uniform within βε; then as ``gra``, smoothed. Zhu
    et al. FGSRA. IJCAI 2024 code (LMBTough/FGSRA), without its fine-tuning of the
    surrogate.
    """
    through = perturbations.input_diversity(probability, rate)

    def relevant(problem: Problem) -> GradientFn:
        place = perturbations.composed(
            perturbations.uniform(beta * problem.epsilon),
            perturbations.spectral_gain(rho),
        )

        def sample(points: Array):
            draw = place(points)

            def weighted(index: Array, keys: Array) -> tuple[Array, Array]:
                at_keys, through_keys = _random.split(keys, 2)
                z = draw(at_keys)
                weight = jnp.exp(cosine(z, points[None]))
                g = gradient(lambda z: problem.loss(through(z)(through_keys)), z)
                return weight * g, weight

            return weighted

        neighbours = averaged(sample, num_samples, problem.samples_per_call)

        def pair(keys: Array, points: Array) -> tuple[Array, Array]:
            total, weight = neighbours(keys, points)
            return gradient(problem.loss, points), total / weight

        return pair

    return Attack(
        relevant,
        optax.chain(weigh_by_relevance(), smooth(size), momentum(decay)),
        move=lambda problem: decaying_sign_step(problem.step_size, eta),
    )


def _with_neighbours(num_samples: int, beta: float):
    """The gradient, and its mean over uniform neighbours within βε."""

    def build(problem: Problem) -> GradientFn:
        mean = averaged_gradient(
            problem.loss,
            at=perturbations.uniform(beta * problem.epsilon),
            num_samples=num_samples,
            samples_per_call=problem.samples_per_call,
        )
        return lambda keys, points: (
            gradient(problem.loss, points),
            mean(keys, points),
        )

    return build
