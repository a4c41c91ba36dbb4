"""Gradients that change at rectifiers: guided backpropagation and the deconvnet."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr.attributions.propagation import propagated
from jaxattr.interpreter.pullback import Rule
from jaxattr.rules import gradients
from jaxattr.typing import Array, LogitsFn, Score


def guided_backprop(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score = scores.logit,
) -> Array:
    """The gradient, of which every rectifier lets positive values pass alone.

    At ``z = max(x, 0)``, ``g_x = max(g_z, 0) · [x > 0]``; elsewhere it is the gradient.
    Rectifiers are functions of one argument that are zero below zero and grow above:
    ``relu`` and ``relu6``, however they are written (Captum and zennit change
    ``ReLU`` modules alone).

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value.

    Raises:
      ValueError: as ``saliency``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     hidden = jax.nn.relu(x.reshape(len(x), -1))
      ...     return hidden @ jnp.array([[1.0, 0.0], [-1.0, 1.0]])
      >>> images = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2)
      >>> ja.guided_backprop(logits_fn, images, jnp.array([0])).ravel()
      Array([1., 0.], dtype=float32)

    References:
      Springenberg, Dosovitskiy, Brox, Riedmiller. Striving for Simplicity: The All
      Convolutional Net. ICLR workshop 2015, arXiv:1412.6806.
    """
    del key
    return _rectified(gradients.guided, logits_fn, images, labels, batch_size, score)


def deconvnet(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score = scores.logit,
) -> Array:
    """The gradient with every rectifier applied to it instead of to the features.

    At ``z = max(x, 0)``, ``g_x = max(g_z, 0)``, whatever x; elsewhere it is the gradient,
    maxima going to what won. Rectifiers are those of ``guided_backprop``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value.

    Raises:
      ValueError: as ``saliency``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jax.nn.relu(x.reshape(len(x), -1))
      >>> images = jnp.array([1.0, -2.0]).reshape(1, 1, 1, 2)
      >>> ja.deconvnet(logits_fn, images, jnp.array([1])).ravel()
      Array([0., 1.], dtype=float32)

    References:
      Zeiler, Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014,
      arXiv:1311.2901.
    """
    del key
    return _rectified(
        gradients.deconvolved, logits_fn, images, labels, batch_size, score
    )


def _rectified(
    rule: Rule,
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    batch_size: int | None,
    score: Score,
) -> Array:
    return propagated(
        logits_fn,
        images,
        labels,
        batch_size,
        score,
        start=jnp.ones_like,
        rules=gradients.at_rectifiers(rule),
        reading=gradients.READING,
    )
