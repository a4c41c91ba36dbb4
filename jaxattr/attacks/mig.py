"""MIG: the attack whose steps are integrated gradients."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._numerics import quadrature
from jaxattr.attacks.attack import Attack, Problem
from jaxattr.paths import integrate_line
from jaxattr.steps import momentum
from jaxattr.typing import GradientFn


def mig(num_points: int = 20, decay: float = 1.0) -> Attack:
    """Momentum of minus the integrated gradients of the label's logit from black.

    ``δ = -x ⊙ 1/n Σᵢ ∇z_y(i/n x)``, whatever the loss. Ma et al. Transferable
    Adversarial Attack for Both Vision Transformers and Convolutional Networks via
    Momentum Integrated Gradients. ICCV 2023. The paper leaves the function to integrate
    open; the logit is what the explanation code integrates.
    """
    rule = quadrature.rule("right", num_points)

    def against(problem: Problem) -> GradientFn:
        logit = scores.stacked_rows(scores.logit, problem.logits_fn, problem.labels)
        return lambda keys, points: (
            -points
            * integrate_line(
                logit,
                jnp.zeros_like(points),
                points,
                rule,
                steps_per_call=problem.samples_per_call,
            )
        )

    return Attack(against, momentum(decay), needs_key=False, follows_score=False)
