"""Attributions that integrate along an adversarial path."""

from __future__ import annotations

from typing import Any

import jax
import optax

from jaxattr import projections, scores
from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_inputs,
    check_integer,
    check_key,
    check_number,
)
from jaxattr._loops import by_image_batches
from jaxattr.gradients import averaged_gradient
from jaxattr.paths import adversarial_path, integrate_path
from jaxattr.perturbations import input_diversity, spectral_copies
from jaxattr.steps import normalize_l1, sign_step, smooth
from jaxattr.typing import Array, LogitsFn

_SIGNS = {"ascend": 1, "descend": -1}


def attexplore(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    epsilon: Any = 16 / 255,
    num_steps: int = 10,
    num_samples: int = 20,
    sigma: Any = 16 / 255,
    rho: Any = 0.5,
    decay: float = 1.0,
    diversity_probability: Any = 0.5,
    diversity_rate: float = 1.15,
    smoothing_size: int = 7,
    direction: str = "descend",
    softmax_stack: int = 1,
    bounds: tuple[Any, Any] = (0.0, 1.0),
) -> Array:
    """AttEXplore: the path of a transferable attack, integrated with its own direction.

    With the cross-entropy ``L`` and s = -1 (``descend``) or +1 (``ascend``)::

        for t = 0 .. T-1:
            g = 1/N Σₙ ∇ L(D(zₙ)) at zₙ = IDCT(DCT(x + σ ξₙ) ⊙ Mₙ)
            m ← μ m + K*g / mean|K*g|
            x' = Π(x + s ε/T sign(m))
            A ← A + s (x' - x) ⊙ m
            x ← x'

    ``ξ ~ N(0, 1)``, ``M ~ U(1 - ρ, 1 + ρ)``, D random resizing and padding, K a
    Gaussian, Π the projection onto the ε-ball around the image and onto the bounds.
    Every value is at least zero: ``(x' - x)`` has the sign of ``s m`` or is zero, so a
    value that leaves its bounds contributes only as far as it moves.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      epsilon: ε, the radius of the ball in pixel units.
      num_steps: T.
      num_samples: N, gradients a step; ``T·N`` model passes in all.
      sigma: σ in pixel units.
      rho: ρ, the half-width of the spectral gain.
      decay: μ.
      diversity_probability: of resizing and padding a copy; 0 switches it off.
      diversity_rate: the padded side over the side.
      smoothing_size: taps of K an axis, odd; 0 switches it off.
      direction: ``descend`` the loss, as the released code does, or ``ascend`` it, as
        the paper's text says.
      softmax_stack: how many softmaxes stand before the logarithm: 1 is the
        cross-entropy of the logits, 3 what the released code computes on a model that
        ends in one.
      bounds: the least and the largest pixel value.

    Returns:
      ``(N, H, W, C)``, non-negative, in pixel units (the direction has mean size one).
      The sign step has no derivative: differentiating the map differentiates the
      directions along a path held fixed but for its projection.

    Raises:
      ValueError: as ``smoothgrad``; an unknown direction; ``num_steps``,
        ``num_samples`` or ``softmax_stack`` below one; an even ``smoothing_size``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.mean(x, axis=(1, 2))
      >>> images, labels = jnp.full((2, 8, 8, 3), 0.5), jnp.array([0, 1])
      >>> maps = ja.attexplore(logits_fn, images, labels, key=jax.random.key(0))
      >>> maps.shape, bool((maps >= 0).all())
      ((2, 8, 8, 3), True)

    References:
      Zhu, Chen, Zhang, Wang, Jin, Xue, Shen. AttEXplore: Attribution for Explanation
      with model parameters eXploration. ICLR 2024. The released code was followed
      where it and the text differ; it runs 20 more gradients than it uses, this does
      not. It draws D once a batch and may feed the padded size; here each image has its
      own draw, resized back.
    """
    images, labels = check_inputs(images, labels)
    keys = check_key(key, labels)
    num_steps = check_integer("num_steps", num_steps)
    num_samples = check_integer("num_samples", num_samples)
    softmax_stack = check_integer("softmax_stack", softmax_stack)
    check_number("epsilon", epsilon, 0.0)
    check_number("sigma", sigma, 0.0)
    check_number("rho", rho, 0.0)
    check_number("diversity_probability", diversity_probability, 0.0, 1.0)
    check_bounds(bounds)
    sign = _SIGNS[check_choice("direction", direction, _SIGNS)]
    diversity = None
    if isinstance(diversity_probability, jax.Array) or diversity_probability > 0:
        diversity = input_diversity(diversity_probability, diversity_rate)

    def explain(
        samples_per_call: int, images: Array, labels: Array, keys: Array
    ) -> Array:
        model = scores.repeated_softmax(logits_fn, softmax_stack - 1)
        gradient_fn = averaged_gradient(
            scores.stacked_rows(scores.cross_entropy, model, labels),
            at=spectral_copies(sigma, rho),
            through=diversity,
            num_samples=num_samples,
            samples_per_call=samples_per_call,
        )
        path = adversarial_path(
            gradient_fn,
            direction=optax.chain(
                smooth(smoothing_size), normalize_l1(), optax.trace(decay)
            ),
            move=sign_step(sign * epsilon / num_steps),
            project=lambda x: projections.box(
                projections.linf_ball(x, images, epsilon), bounds
            ),
        )
        return sign * integrate_path(
            path,
            images,
            keys,
            num_steps=num_steps,
            integrand=lambda info: info.direction,
        )

    return by_image_batches(explain, batch_size, images, labels, keys)
