"""Attributions to the values of a layer inside the model, of any JAX function.

Layers have names, ``ja.inside.names(logits_fn, images)``. To explain one neuron of a
layer by the pixels, give any method ``score=ja.inside.neuron(name, index)``.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxattr import inside, scores
from jaxattr._checks import check_like_images, check_task
from jaxattr._loops import by_image_batches, sum_over
from jaxattr._numerics import quadrature
from jaxattr._numerics.dtypes import widen
from jaxattr.gradients import gradient
from jaxattr.typing import Array, LogitsFn, Score


def layer_gradient_x_activation(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    layer: str,
    score: Score = scores.logit,
) -> Array:
    """``A = F ⊙ ∂ score / ∂ F``: the values of a layer times their gradient.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      layer: the name of the values, see ``ja.inside.names``.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      In the shape of the layer's values ``(N, ...)``, in units of the score.

    Raises:
      ValueError: as ``saliency``; a layer that the model does not have (the message has
        the nearest names).

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     with jax.named_scope("squares"):
      ...         x = x**2
      ...     return jnp.sum(x, (1, 2)) * jnp.array([[3.0, 1.0]])
      >>> images = jnp.array([2.0, 1.0]).reshape(1, 1, 1, 2)
      >>> ja.layer_gradient_x_activation(
      ...     logits_fn, images, jnp.array([0]), layer="squares").ravel()
      Array([12.,  0.], dtype=float32)
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)

    def explain(_: int, images: Array, labels: Array) -> Array:
        values = _values(logits_fn, layer, images)
        head = inside.head(logits_fn, layer, images)
        return widen(values) * widen(gradient(score(head, labels), values))

    return by_image_batches(explain, batch_size, images, labels)


def layer_integrated_gradients(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    layer: str,
    baseline: ArrayLike = 0.0,
    num_steps: int = 50,
    rule: str = "midpoint",
    score: Score = scores.logit,
) -> Array:
    """Integrated gradients with the values of a layer in the place of pixels.

    ``A = (F - F') ⊙ ∫₀¹ ∂ score / ∂ F (F' + α (F - F')) dα``, F and F' the values for the
    image and the baseline. Where all of the score comes through the layer its values sum
    to the difference of the scores.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      layer: the name of the values, see ``ja.inside.names``.
      baseline: an image, as ``integrated_gradients`` has it.
      num_steps: nodes of the quadrature, each a model pass.
      rule: as ``integrated_gradients`` has it.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      In the shape of the layer's values ``(N, ...)``, in units of the score.

    Raises:
      ValueError: as ``integrated_gradients``; a layer that the model does not have.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     with jax.named_scope("squares"):
      ...         x = x**2
      ...     return jnp.sum(x, (1, 2)) * jnp.array([[3.0, 1.0]])
      >>> images = jnp.array([2.0, 1.0]).reshape(1, 1, 1, 2)
      >>> maps = ja.layer_integrated_gradients(
      ...     logits_fn, images, jnp.array([0]), layer="squares")
      >>> jnp.round(maps.ravel()).astype(int)
      Array([12,  0], dtype=int32)
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    baseline = check_like_images("baseline", baseline, images)
    nodes = quadrature.rule(rule, num_steps)

    def explain(
        steps_per_call: int, images: Array, labels: Array, baseline: Array
    ) -> Array:
        start, end = (_values(logits_fn, layer, x) for x in (baseline, images))
        score_fn = score(inside.head(logits_fn, layer, images), labels)

        def at(alpha: Array) -> Array:
            return gradient(score_fn, start + alpha * (end - start))

        mean = _mean_on_line(at, nodes, start.dtype, steps_per_call)
        return widen(end - start) * mean

    return by_image_batches(explain, batch_size, images, labels, baseline)


def internal_influence(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    layer: str,
    baseline: ArrayLike = 0.0,
    num_steps: int = 50,
    rule: str = "midpoint",
    score: Score = scores.logit,
) -> Array:
    """The gradient to the values of a layer, averaged on the line of images.

    ``A = ∫₀¹ ∂ score / ∂ F (x' + α (x - x')) dα``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      layer: the name of the values, see ``ja.inside.names``.
      baseline: x', as ``integrated_gradients`` has it.
      num_steps: nodes of the quadrature, each a model pass.
      rule: as ``integrated_gradients`` has it.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      In the shape of the layer's values ``(N, ...)``, in units of the score per unit of
      the values.

    Raises:
      ValueError: as ``integrated_gradients``; a layer that the model does not have.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     with jax.named_scope("double"):
      ...         x = 2 * x
      ...     return jnp.sum(x**2, (1, 2))
      >>> images = jnp.array([2.0, 1.0]).reshape(1, 1, 1, 2)
      >>> maps = ja.internal_influence(
      ...     logits_fn, images, jnp.array([0]), layer="double")
      >>> jnp.round(maps.ravel()).astype(int)
      Array([4, 0], dtype=int32)

    References:
      Leino, Sen, Datta, Fredrikson, Li. Influence-Directed Explanations for Deep
      Convolutional Networks. ITC 2018, arXiv:1802.03788.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    baseline = check_like_images("baseline", baseline, images)
    nodes = quadrature.rule(rule, num_steps)

    def explain(
        steps_per_call: int, images: Array, labels: Array, baseline: Array
    ) -> Array:
        def at(alpha: Array) -> Array:
            points = baseline + alpha.astype(images.dtype) * (images - baseline)
            values = _values(logits_fn, layer, points)
            return gradient(
                score(inside.head(logits_fn, layer, points), labels), values
            )

        return _mean_on_line(at, nodes, images.dtype, steps_per_call)

    return by_image_batches(explain, batch_size, images, labels, baseline)


def _values(logits_fn: LogitsFn, layer: str, images: Array) -> Array:
    return inside.capture(logits_fn, [layer])(images)[1][layer]


def _mean_on_line(
    at: Callable[[Array], Array],
    rule: quadrature.Rule,
    dtype: DTypeLike,
    steps_per_call: int,
) -> Array:
    """``Σₖ wₖ at(αₖ)``."""
    nodes, weights = (jnp.asarray(v, dtype) for v in rule)

    def terms(index: Array) -> Array:
        values = jax.vmap(lambda i: widen(at(nodes[i])))(index)
        shape = (-1, *(1,) * (values.ndim - 1))
        return weights[index].astype(values.dtype).reshape(shape) * values

    return sum_over(terms, len(rule.nodes), steps_per_call)
