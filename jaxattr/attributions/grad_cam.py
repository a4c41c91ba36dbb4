"""Grad-CAM: the features inside a model that speak for a class, where they are."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxattr import inside, scores
from jaxattr._checks import check_inputs, check_integer, check_values, fail
from jaxattr._dtypes import widen
from jaxattr._logits import checked_head, checked_model
from jaxattr._loops import by_image_batches
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
        values, gradients = (_maps(widen(x), size, grid) for x in (values, gradients))
        weights = jnp.mean(gradients, axis=(1, 2), keepdims=True)
        cam = jnp.sum(weights * values, axis=-1)
        cam = jax.nn.relu(cam) if relu else cam
        cam = jax.image.resize(cam, images.shape[:3], "linear")
        # Added to zeros rather than broadcast: so it is sharded as the images are.
        return jnp.zeros_like(images) + cam[..., None].astype(images.dtype)

    return by_image_batches(explain, batch_size, images, labels)


def _maps(
    features: Array, size: tuple[int, int], grid: tuple[int, int] | None
) -> Array:
    """Features ``(N, h, w, D)``; tokens are laid out in their grid."""
    if features.ndim == 3:
        num_tokens = features.shape[1]
        rows, columns = _grid_of(num_tokens, size) if grid is None else grid
        rows, columns = check_integer("grid", rows), check_integer("grid", columns)
        if rows * columns > num_tokens:
            raise fail("grid", f"at most the {num_tokens} tokens of the layer", grid)
        tokens = features[:, num_tokens - rows * columns :]
        return tokens.reshape(tokens.shape[0], rows, columns, -1)
    if features.ndim != 4:
        expected = "features (N, h, w, D) or tokens (N, T, D); split at another layer"
        raise fail("logits_fn", expected, features)
    if grid is not None:
        raise fail("grid", "None where features have places", grid)
    return features


def _grid_of(num_tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tokens with the aspect of an image of that size."""
    common = math.gcd(*size)
    rows, columns = size[0] // common, size[1] // common
    for num_places in (num_tokens, num_tokens - 1):
        times = math.isqrt(num_places // (rows * columns))
        if times and times**2 * rows * columns == num_places:
            return times * rows, times * columns
    raise ValueError(
        f"grid: expected (rows, columns) of the tokens: neither {num_tokens} of them "
        f"nor one fewer lie in a grid with the aspect of images {list(size)}"
    )
