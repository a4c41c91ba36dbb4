"""Sign-step attacks that follow the gradient at the point, with and without momentum.

Each function returns an ``Attack``; the defaults are the published settings.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax

from jaxattr.attacks.attack import Attack, Problem
from jaxattr.gradients import averaged, averaged_gradient, gradient, gradient_at_points
from jaxattr.perturbations import input_diversity
from jaxattr.steps import momentum, smooth
from jaxattr.typing import Array, GradientFn


def fgsm() -> Attack:
    """One step of ε along ``sign(∇L)``.

    Goodfellow, Shlens, Szegedy. Explaining and Harnessing Adversarial Examples. ICLR
    2015.
    """
    return Attack(_plain, single_step=True, needs_key=False)


def bim() -> Attack:
    """T steps of ``ε / T`` along ``sign(∇L)``.

    Kurakin, Goodfellow, Bengio. Adversarial Examples in the Physical World. ICLR
    workshop 2017.
    """
    return Attack(_plain, needs_key=False)


def pgd() -> Attack:
    """T steps of ``2.5 ε / T`` from a uniform draw of the ball.

    Madry, Makelov, Schmidt, Tsipras, Vladu. Towards Deep Learning Models Resistant to
    Adversarial Attacks. ICLR 2018.
    """
    return Attack(_plain, step_ratio=2.5, random_start=True)


def mi_fgsm(decay: float = 1.0) -> Attack:
    """Momentum: ``d ← μ d + ∇L / mean|∇L|``.

    Dong et al. Boosting Adversarial Attacks with Momentum. CVPR 2018.
    """
    return Attack(_plain, momentum(decay), needs_key=False)


def ni_fgsm(decay: float = 1.0) -> Attack:
    """Momentum, the gradient taken at ``x + α μ d``.

    Lin et al. Nesterov Accelerated Gradient and Scale Invariance for Adversarial
    Attacks. ICLR 2020.
    """
    return Attack(_plain, momentum(decay), nesterov=decay, needs_key=False)


def si_ni_fgsm(num_copies: int = 5, decay: float = 1.0) -> Attack:
    """Nesterov momentum, the loss averaged over the copies ``x / 2ⁱ``.

    Lin et al. ICLR 2020 (see ``ni_fgsm``).
    """

    def scaled(problem: Problem) -> GradientFn:
        def sample(points: Array):
            def gradients(index: Array, keys: Array | None) -> Array:
                scale = 0.5 ** index.astype(points.dtype)[:, None, None, None, None]
                copies = jnp.broadcast_to(points, index.shape + points.shape)
                return gradient(lambda x: problem.loss(x * scale), copies)

            return gradients

        return averaged(sample, num_copies, problem.samples_per_call)

    return Attack(scaled, momentum(decay), nesterov=decay, needs_key=False)


def di_fgsm(probability: float = 0.5, rate: float = 1.1, decay: float = 1.0) -> Attack:
    """Momentum, the gradient taken through random resizing and padding.

    Xie et al. Improving Transferability of Adversarial Examples with Input Diversity.
    CVPR 2019. Resized back to the image's size, with the rate that TransferAttack's
    implementation has.
    """
    return Attack(_diverse(probability, rate), momentum(decay))


def ti_fgsm(
    size: int = 15, probability: float = 0.0, rate: float = 1.1, decay: float = 1.0
) -> Attack:
    """Momentum of a Gaussian-smoothed gradient.

    Dong et al. Evading Defenses to Transferable Adversarial Examples by
    Translation-Invariant Attacks. CVPR 2019. The Gaussian spans three of its standard
    deviations each way. A probability above 0 takes the gradient through input
    diversity, as several implementations do.
    """
    direction = optax.chain(smooth(size), momentum(decay))
    return Attack(_diverse(probability, rate), direction, needs_key=probability > 0)


def _plain(problem: Problem) -> GradientFn:
    return gradient_at_points(problem.loss)


def _diverse(probability: float, rate: float):
    if not probability:
        return _plain
    return lambda problem: averaged_gradient(
        problem.loss, through=input_diversity(probability, rate)
    )
