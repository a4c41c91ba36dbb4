"""Losses for attributions that resist perturbation: IG-NORM and IG-SUM-NORM."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr._checks import check_inputs, check_integer, check_key
from jaxattr._numerics import quadrature
from jaxattr.gradients import gradient_at_points
from jaxattr.paths import integrate_line
from jaxattr.training._inner import ApplyFn, Params, ascend, cross_entropy
from jaxattr.typing import Array, Bounds, Scalar, ScoreFn


def ig_norm_loss(
    apply_fn: ApplyFn,
    params: Params,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    weight: Scalar = 1.0,
    epsilon: Scalar = 8 / 255,
    step_size: Scalar = 2 / 255,
    num_steps: int = 7,
    num_nodes: int = 50,
    inner_nodes: int = 10,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """IG-NORM: the loss at the image, and the most that its attribution can be moved.

    ``1/N Σ ℓ(x) + λ max_{x'} ‖IG^ℓ(x → x')‖₁``, ``IG^ℓ(x → x') = (x' - x) ⊙ 1/m Σₖ
    ∇ℓ(x + k/m (x' - x))`` for ``k = 1 .. m``: the change of the loss on the way, shared
    among the pixels. Means over the batch where the released code has sums.

    Args:
      apply_fn: ``(params, images)`` to logits ``(N, K)``. Second derivatives are taken:
        a smooth activation trains better than ReLU.
      params: a pytree of parameters.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      weight: λ.
      epsilon: radius of the ball in pixel units.
      step_size: of the inner attack, in pixel units.
      num_steps: of the inner attack, from a uniform start.
      num_nodes: m.
      inner_nodes: m within the inner attack, fewer to save time.
      bounds: the least and the largest pixel value.

    Returns:
      ``()``.

    Raises:
      ValueError: shapes that do not fit, no key.

    References:
      Chen, Wu, Rastogi, Liang, Jha. Robust Attribution Regularization. NeurIPS 2019,
      arXiv:1905.09957.
    """
    images, labels = check_inputs(images, labels)
    score_fn = cross_entropy(apply_fn, params, labels)
    points = ascend(
        gradient_at_points(lambda x: _ig_norm(score_fn, images, x, inner_nodes)),
        images,
        check_key(key, labels),
        epsilon,
        step_size,
        num_steps,
        bounds,
    )
    norm = _ig_norm(score_fn, images, points, num_nodes)
    return jnp.mean(score_fn(images) + weight * norm)


def ig_sum_norm_loss(
    apply_fn: ApplyFn,
    params: Params,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    weight: Scalar = 0.1,
    epsilon: Scalar = 8 / 255,
    step_size: Scalar = 2 / 255,
    num_steps: int = 7,
    num_nodes: int = 50,
    inner_nodes: int = 10,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """IG-SUM-NORM: the worst sum of the loss and of the change of attribution.

    ``1/N Σ max_{x'} [ℓ(x') + β ‖IG^ℓ(x → x')‖₁]``; see ``ig_norm_loss``, whose
    arguments these are, ``weight`` being β. Adversarial training of both.

    Returns:
      ``()``.

    References:
      Chen, Wu, Rastogi, Liang, Jha. Robust Attribution Regularization. NeurIPS 2019,
      arXiv:1905.09957.
    """
    images, labels = check_inputs(images, labels)
    score_fn = cross_entropy(apply_fn, params, labels)

    def both(points: Array, nodes: int) -> Array:
        return score_fn(points) + weight * _ig_norm(score_fn, images, points, nodes)

    points = ascend(
        gradient_at_points(lambda x: both(x, inner_nodes)),
        images,
        check_key(key, labels),
        epsilon,
        step_size,
        num_steps,
        bounds,
    )
    return jnp.mean(both(points, num_nodes))


def _ig_norm(score_fn: ScoreFn, start: Array, end: Array, num_nodes: int) -> Array:
    """``‖(x' - x) ⊙ 1/m Σₖ ∇ℓ(x + k/m (x' - x))‖₁``, ``(N,)``."""
    nodes = quadrature.rule("right", check_integer("num_nodes", num_nodes))
    mean_gradient = integrate_line(score_fn, start, end, nodes)
    values = (end - start) * mean_gradient
    # The slope of a size is its sign, zero at zero: jnp.abs has one there.
    return jnp.sum(values * jnp.sign(values), axis=(1, 2, 3))
