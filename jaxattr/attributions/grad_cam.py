"""Grad-CAM: the features inside a model that speak for a class, where they are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxattr import inside, scores
from jaxattr._checks import check_inputs, check_values, fail
from jaxattr._logits import checked_head, checked_model
from jaxattr._loops import by_image_batches
from jaxattr._numerics.dtypes import widen
from jaxattr.attributions import places
from jaxattr.gradients import gradient
from jaxattr.typing import Array, Score


def grad_cam(
    logits_fn: Any,
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
    features_fn, head = (getattr(logits_fn, n, None) for n in ("features", "head"))
    if layer is None and (features_fn is None or head is None):
        raise fail(
            "logits_fn",
            "a model with features and head, such as model.split(layer), or layer=",
            logits_fn,
        )
    images, labels = check_inputs(images, labels)
    check_values(images)
    if layer is None:
        head = checked_head(head, labels)
    else:
        logits_fn = checked_model(logits_fn, labels)
    score = scores.as_score(score)
    size = (images.shape[1], images.shape[2])

    def explain(_: int, images: Array, labels: Array) -> Array:
        if layer is None:
            assert features_fn is not None
            assert head is not None
            values, head_fn = features_fn(images), head
        else:
            values = inside.capture(logits_fn, [layer])(images)[1][layer]
            head_fn = inside.head(logits_fn, layer, images)
        gradients = gradient(score(head_fn, labels), values)
        values, gradients = (
            places.features(widen(x), size, grid) for x in (values, gradients)
        )
        weights = jnp.mean(gradients, axis=(1, 2), keepdims=True)
        cam = jnp.sum(weights * values, axis=-1)
        cam = jax.nn.relu(cam) if relu else cam
        return places.resized(cam, images)

    return by_image_batches(explain, batch_size, images, labels)
