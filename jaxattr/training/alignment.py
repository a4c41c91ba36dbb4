"""A loss for gradients that look like the image: ART's triplet form."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_inputs, check_integer, check_key
from jaxattr._logits import checked_model
from jaxattr._numerics import norms
from jaxattr._numerics.rankings import top_k_mask
from jaxattr.gradients import gradient, gradient_at_points
from jaxattr.training._inner import ApplyFn, Params, ascend, cross_entropy
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, ScoreFn


def alignment_loss(
    apply_fn: ApplyFn,
    params: Params,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    weight: Scalar = 0.5,
    epsilon: Scalar = 8 / 255,
    step_size: Scalar = 5 / 255,
    num_steps: int = 3,
    top_values: int = 1000,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """ART: the loss at a moved image, and the alignment of image and gradient.

    ``1/N Σ ℓ(x̃) + λ log(1 + exp(d⁺ - d⁻))`` with ``d⁺ = 1 - cos(x, ∇z_y)`` and ``d⁻ = 1 -
    cos(x, ∇ max_{j≠y} z_j)``, the harder of the image and x̃ for each: the gradient of
    the label's logit should look like the image, that of its strongest rival should
    not. x̃ ascends the second term by sign steps from a uniform start, its products
    taken over the values where ``|∇z_y|`` is largest at the image.

    Args:
      apply_fn: ``(params, images)`` to logits ``(N, K)``. Second derivatives are taken:
        the paper has softplus of sharpness 50 for ReLU.
      params: a pytree of parameters.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      weight: λ.
      epsilon: radius of the ball in pixel units.
      step_size: of the inner attack, in pixel units.
      num_steps: of the inner attack.
      top_values: how many of the H·W·C values the inner attack looks at, at most all.
      bounds: the least and the largest pixel value.

    Returns:
      ``()``.

    Raises:
      ValueError: shapes that do not fit, no key.

    References:
      Singh, Kumari, Mangla, Sinha, Balasubramanian, Krishnamurthy. Attributional
      Robustness Training using Input-Gradient Spatial Alignment. ECCV 2020,
      arXiv:1911.13073.
    """
    images, labels = check_inputs(images, labels)
    keys = check_key(key, labels)
    logits_fn = checked_model(lambda x: apply_fn(params, x), labels, "apply_fn")
    size = images[0].size
    top_values = min(check_integer("top_values", top_values), size)
    slope = gradient(scores.logit(logits_fn, labels), images)
    mask = top_k_mask(jnp.abs(slope).reshape(-1, size), top_values)
    mask = mask.reshape(images.shape)

    def triplet_at(points: Array) -> Array:
        near, far = _distances(logits_fn, points, labels, mask)
        return jax.nn.softplus(near - far)

    moved = ascend(
        gradient_at_points(triplet_at),
        images,
        keys,
        epsilon,
        step_size,
        num_steps,
        bounds,
    )
    pairs = [_distances(logits_fn, x, labels, None) for x in (images, moved)]
    near = jnp.maximum(pairs[0][0], pairs[1][0])
    far = jnp.minimum(pairs[0][1], pairs[1][1])
    loss = cross_entropy(apply_fn, params, labels)(moved)
    return jnp.mean(loss + weight * jax.nn.softplus(near - far))


def _distances(
    logits_fn: LogitsFn, points: Array, labels: Array, mask: Array | None
) -> tuple[Array, Array]:
    """``1 - cos`` of the points with the gradients of the label and of its rival."""

    def rival(images: Array) -> Array:
        logit, margin = (
            score(logits_fn, labels)(images) for score in (scores.logit, scores.margin)
        )
        return logit - margin

    def distance(score_fn: ScoreFn) -> Array:
        slope = gradient(score_fn, points)
        a, b = points, slope
        if mask is not None:
            a, b = (jnp.where(mask, v, 0) for v in (a, b))
        axes = (1, 2, 3)
        return 1 - jnp.sum(norms.unit(a, axes) * norms.unit(b, axes), axes)

    return distance(scores.logit(logits_fn, labels)), distance(rival)
