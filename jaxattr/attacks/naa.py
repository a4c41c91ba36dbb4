"""Attacks on the features inside a model, which must come split in two."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._loops import sum_over
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.attacks.attack import Attack, Problem
from jaxattr.gradients import gradient, gradient_at_points
from jaxattr.steps import momentum
from jaxattr.typing import Array, GradientFn, LogitsFn, Scalar

_Half = Callable[[Array], Array]
_HALVES = ("features", "head")


def naa(
    features: Callable[[Array], Array] | None = None,
    head: Callable[[Array], Array] | None = None,
    *,
    num_points: int = 30,
    stddev: Scalar = 0.2,
    decay: float = 1.0,
) -> Attack:
    """Neuron attribution: against the features that speak for the label.

    ``J(x) = mean((F(x) - F(0)) ⊙ w)`` rises, the mean over an image's features, with
    ``w = -v / ‖v‖₂``, ``v = Σₗ ∂softmax(h(F))_y / ∂F`` at
    ``F((x⁰ + σξₗ)(1 - l/n))``, l = 0 .. n - 1, taken once at the start.

    Args:
      features: images ``(N, H, W, C)`` to features ``(N, ...)``; without both halves
        the attacked model's own, if it has ``features`` and ``head``.
      head: features to logits ``(N, K)``.
      num_points: n.
      stddev: σ in pixel units.
      decay: of the momentum.

    Zhang et al. Improving Adversarial Transferability via Neuron Attribution-Based
    Attacks. CVPR 2022; the form of the AttEXplore group's code.

    Raises:
      ValueError: once it runs, for a model that is not split.
    """
    given = (features, head)

    def against(problem: Problem) -> GradientFn:
        features, head = _halves(*given, problem.logits_fn)
        images, labels = problem.images, problem.labels

        probability = scores.probability(head, labels)

        def terms(index: Array) -> Array:
            # One sample a call: what is differentiated are the features of N rows.
            (step,) = index
            assert problem.keys is not None
            noise_keys = _random.fold_in(problem.keys, step)
            noise = _random.normal(noise_keys, images.shape[1:], images.dtype)
            share = 1 - step.astype(images.dtype) / num_points
            values = features((images + stddev * noise) * share)
            return gradient(probability, values)[None]

        total = widen(sum_over(terms, num_points))
        axes = tuple(range(1, total.ndim))
        weights = -norms.unit(total, axes)
        base = widen(features(jnp.zeros_like(images)))

        def objective(points: Array) -> Array:
            return jnp.mean((widen(features(points)) - base) * weights, axis=axes)

        return gradient_at_points(objective)

    return Attack(against, momentum(decay), follows_score=False)


def _halves(
    features: _Half | None, head: _Half | None, logits_fn: LogitsFn
) -> tuple[_Half, _Half]:
    """Features and head as they were given, or of the model itself."""
    if features is None and head is None:
        features, head = (getattr(logits_fn, half, None) for half in _HALVES)
    if features is None or head is None:
        raise ValueError(
            "naa: expected a model split in two, naa(features, head) with logits = "
            "head(features(images)), or a model that has features and head"
        )
    return features, head
