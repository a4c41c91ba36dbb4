"""Excitation backpropagation: the probability that a pixel excites the class."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr.attributions.propagation import propagated
from jaxattr.rules.composites import Composite
from jaxattr.rules.linear import ZPlus
from jaxattr.typing import Array, LogitsFn, Score

EXCITATION = Composite(convolution=ZPlus(), dense=ZPlus())


def excitation_backprop(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score = scores.logit,
) -> Array:
    """Where a winner comes from, if excitatory connections alone are followed.

    ``P(x_i) = Σ_j P(z_j) x_i A_ji⁺ / Σ_i x_i A_ji⁺`` from ``P = 1`` at the score: the
    z-plus rule in every linear layer, the bias among the parts if it is positive (as in
    zennit; the paper leaves it out). The map is not negative and sums to at most one
    where features are not negative and the score is a logit.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, shares of one.

    Raises:
      ValueError: as ``lrp``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> weights = jnp.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 1.0]])
      >>> logits_fn = lambda x: x.reshape(len(x), -1) @ weights
      >>> images = jnp.array([1.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
      >>> ja.excitation_backprop(logits_fn, images, jnp.array([0])).ravel().round(3)
      Array([0.5, 0.5, 0. ], dtype=float32)

    References:
      Zhang, Bargal, Lin, Brandt, Shen, Sclaroff. Top-down Neural Attention by Excitation
      Backprop. IJCV 2018, arXiv:1608.00507.
    """
    del key
    return propagated(
        logits_fn,
        images,
        labels,
        batch_size,
        score,
        start=jnp.ones_like,
        rules=EXCITATION.rule,
        reading=EXCITATION.reading,
    )
