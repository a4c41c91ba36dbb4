"""Score-CAM: channels weighted by the score of the image seen through them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._loops import stack_over
from jaxattr.attributions import places
from jaxattr.attributions.cam import Layer, class_activation_map, weighted
from jaxattr.typing import Array, LogitsFn, Score


def score_cam(
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
    """Channels weighted by the score of the image behind each as a mask.

    ``A = ReLU(Σₖ wₖ Fᵏ)`` with ``w = softmax(s)``, ``sₖ = score(x ⊙ Hᵏ)`` and Hᵏ the
    channel resized to the image and stretched to [0, 1]: 0 where it is least, 1 where it
    is largest, 0 everywhere if it is constant. The score of a black image, which the
    paper takes off each sₖ, changes no softmax. No gradient of the model is taken; there
    are D + 1 model passes for D channels.

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
      >>> ja.score_cam(model, images, jnp.array([0])).squeeze()
      Array([[1., 0.],
             [0., 2.]], dtype=float32)

    References:
      Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu. Score-CAM: Score-Weighted Visual
      Explanations for Convolutional Neural Networks. CVPR Workshops 2020,
      arXiv:1910.01279. Its released code weights by probabilities instead, which do not
      sum to one.
    """
    del key

    def combine(layer: Layer) -> Array:
        features = layer.features()

        def seen_through(index: Array) -> Array:
            channels = jnp.moveaxis(features[..., index], -1, 0)
            masks = jax.vmap(lambda maps: _mask(maps, layer.images))(channels)
            return layer.scores_of_images(layer.images[None] * masks)

        values = stack_over(seen_through, features.shape[-1], layer.rows)
        return weighted(jax.nn.softmax(values, axis=0).T, features)

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


def _mask(maps: Array, images: Array) -> Array:
    """Maps ``(N, h, w)`` in the size of the images, stretched to [0, 1]."""
    masks = places.resized(maps, images)
    masks = masks - jnp.min(masks, axis=(1, 2), keepdims=True)
    largest = jnp.max(masks, axis=(1, 2), keepdims=True)
    return masks / jnp.where(largest == 0, 1, largest)
