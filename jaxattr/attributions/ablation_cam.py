"""Ablation-CAM: channels weighted by what the score loses without them."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._loops import stack_over
from jaxattr.attributions.cam import Layer, class_activation_map, weighted
from jaxattr.typing import Array, LogitsFn, Score


def ablation_cam(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.logit,
    relu: bool = True,
    grid: tuple[int, int] | None = None,
    layer: str | None = None,
) -> Array:
    """Channels weighted by the share of the score that is lost without them.

    ``A = ReLU(Σₖ wₖ Fᵏ)`` with ``wₖ = (s - sₖ) / s``, s the score and sₖ the score where
    channel k is zero. No gradient of the model is taken; there are D + 1 passes of the head
    for D channels. Where the score is negative so are the weights of what raises it, as
    published; where it is zero the map is not finite.


    Args:
      logits_fn: a model in two halves, or with ``layer`` any function of images; see
        ``grad_cam``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens, see ``grad_cam``.
      layer: the name of the features, see ``grad_cam``.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the features.

    Raises:
      ValueError: as ``grad_cam``.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.ablation_cam(model, images, jnp.array([0])).squeeze()
      Array([[1., 0.],
             [0., 2.]], dtype=float32)

    References:
      Desai, Ramaswamy. Ablation-CAM: Visual Explanations for Deep Convolutional Network via
      Gradient-free Localization. WACV 2020.
    """
    del key

    def combine(layer: Layer) -> Array:
        num_channels = layer.values.shape[-1]
        channels = jnp.arange(num_channels)

        def without(index: Array) -> Array:
            keep = channels[None, :] != index[:, None]
            keep = keep.reshape(len(index), *(1,) * (layer.values.ndim - 1), -1)
            return layer.scores_of_values(jnp.where(keep, layer.values[None], 0))

        # Nothing is left out by an index that is no channel.
        values = stack_over(without, num_channels + 1, layer.rows)
        score = values[-1]
        return weighted(((score[None] - values[:-1]) / score[None]).T, layer.features())

    return class_activation_map(
        combine,
        logits_fn,
        images,
        labels,
        batch_size=batch_size,
        score=score,
        relu=relu,
        grid=grid,
        layer=layer,
    )
