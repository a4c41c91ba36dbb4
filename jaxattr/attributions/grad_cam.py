"""Grad-CAM: the features inside a model that speak for a class, where they are."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr.attributions.cam import Layer, class_activation_map, weighted
from jaxattr.typing import Array, LogitsFn, Score


def grad_cam(
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
    """The features of a layer, weighted by their mean gradients.

    ``A = ReLU(Σₖ αₖ Fᵏ)``, ``αₖ`` the mean over places of ``∂ score / ∂ Fᵏ``, resized
    to the images bilinearly.

    Args:
      logits_fn: a model in two halves: it has ``features``, images ``(N, H, W, C)`` to
        ``(N, h, w, D)`` or tokens ``(N, T, D)``, and ``head``, features to logits
        ``(N, K)``. A model of ``ja.models`` has them, and ``model.split(layer)`` those
        of any layer. With ``layer``, any function of images.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens; the last of the tokens lie in it, row by row,
        and what comes before them (a class token) has no place. By default the grid
        with the aspect of the images that takes all tokens, or all but one.
      layer: the name of the features, see ``ja.inside.names``, of a model that is not in
        two halves, or for others than those of ``features``.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``saliency``; a model that is not split; a layer that it does not
        have; features without places; tokens whose grid cannot be told.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.grad_cam(model, images, jnp.array([0])).squeeze()
      Array([[1., 0.],
             [0., 2.]], dtype=float32)

    References:
      Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra. Grad-CAM: Visual Explanations
      from Deep Networks via Gradient-based Localization. ICCV 2017, arXiv:1610.02391.
    """
    del key

    def combine(layer: Layer) -> Array:
        weights = jnp.mean(layer.gradients(), axis=(1, 2))
        return weighted(weights, layer.features())

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
