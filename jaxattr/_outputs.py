"""What models return that are no classifiers, as logits ``(N, K)`` that methods explain.

Each takes a model and gives a function of images; the label says which of its columns is
explained. One number an image becomes two columns, of which label 1 is the number itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxattr._checks import check_integer, fail
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array, LogitsFn


def region(
    model: Callable[[Array], Array], where: ArrayLike | tuple[int, int]
) -> LogitsFn:
    """The mean of a segmentation's logits over a region, or those of one pixel.

    ``zₖ = Σₚ mₚ Fₖ(p) / Σₚ mₚ``: columns are the classes of the segmentation.

    Args:
      model: images ``(N, H, W, C)`` to values at places, ``(N, h, w, K)`` or ``(N, h, w)``,
        before the softmax.
      where: a mask ``(h, w)``, bool or weights that are not negative, of the size of the
        output, the same for all images; or a pixel of it, ``(row, column)``. For a mask an
        image explain image by image, with ``jax.vmap``.

    Returns:
      A function of images to logits ``(N, K)``; ``(N, 2)`` for one value a place, label 1.

    Raises:
      ValueError: when called, for a mask of another size; at once for one without pixels.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> model = lambda x: jnp.concatenate([x, -x], axis=-1)
      >>> pixel = ja.scores.region(model, (0, 1))
      >>> ja.saliency(pixel, jnp.ones((1, 2, 2, 1)), jnp.array([0])).squeeze()
      Array([[0., 1.],
             [0., 0.]], dtype=float32)
    """
    pixel = isinstance(where, tuple)
    if isinstance(where, tuple):
        if len(where) != 2:
            raise fail("where", "a mask (h, w) or a pixel (row, column)", where)
        row, column = (check_integer("where", place, 0) for place in where)
    else:
        mask = jnp.asarray(where)
        if mask.ndim != 2:
            raise fail("where", "a mask (h, w) or a pixel (row, column)", mask)
        known = not isinstance(mask, jax.core.Tracer)
        if known and not float(jnp.sum(mask)) > 0:
            raise ValueError("where: expected a mask with at least one pixel, got none")

    def logits_fn(images: Array) -> Array:
        values = widen(model(images))
        if values.ndim == 3:
            values = values[..., None]
        size = values.shape[1:3]
        if values.ndim != 4:
            raise fail("model", "values at places, (N, h, w, K)", values)
        if pixel:
            if row >= size[0] or column >= size[1]:
                raise fail("where", f"a pixel of an output {size}", where)
            return _at_least_two(values[:, row, column])
        if mask.shape != size:
            raise fail("where", f"a mask of the size of the output, {size}", mask)
        weights = mask.astype(values.dtype)
        means = jnp.einsum("nhwk,hw->nk", values, weights / jnp.sum(weights))
        return _at_least_two(means)

    return logits_fn


def box(
    detector: Callable[[Array], tuple[Array, Array]],
    target: ArrayLike | Sequence[float],
) -> LogitsFn:
    """The class scores of the detections that lie where a box lies.

    ``zₖ = max_b IoU(b, t) sₖ(b)`` over the detections b, IoU the area that the boxes share
    over the area of both. So an image in which the object is found elsewhere scores low,
    as one does in which it is not found.

    Args:
      detector: images ``(N, H, W, C)`` to boxes ``(N, B, 4)`` as x0, y0, x1, y1 and class
        scores ``(N, B, K)``, before any suppression of overlapping ones; scores should not
        be negative: probabilities.
      target: t, four numbers in the same unit, the same for all images.

    Returns:
      A function of images to ``(N, K)``; ``(N, 2)`` for one class, label 1. Scores are zero
      where nothing overlaps.

    Raises:
      ValueError: when called, for outputs of another shape; at once for a box without area.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> def detector(images):  # one box, whose score is how bright the image is
      ...     boxes = jnp.array([[[0.0, 0.0, 2.0, 2.0]]]) + 0 * images[:, :1, :1, 0]
      ...     return boxes, jnp.mean(images, axis=(1, 2))[:, None, :]
      >>> found = ja.scores.box(detector, (0, 0, 2, 1))
      >>> ja.saliency(found, jnp.ones((1, 2, 2, 1)), jnp.array([1])).squeeze()
      Array([[0.125, 0.125],
             [0.125, 0.125]], dtype=float32)

    References:
      Petsiuk, Jain, Manjunatha, Morariu, Mehra, Ordonez, Saenko. Black-box Explanation of
      Object Detectors via Saliency Maps. CVPR 2021, arXiv:2006.03204.
    """
    corners = jnp.asarray(target)
    expected = "x0, y0, x1, y1 with x0 < x1 and y0 < y1"
    if corners.shape != (4,):
        raise fail("target", expected, corners)
    if not isinstance(corners, jax.core.Tracer) and not bool(
        (corners[:2] < corners[2:]).all()
    ):
        raise fail("target", expected, target)

    def logits_fn(images: Array) -> Array:
        outputs = detector(images)
        if not isinstance(outputs, tuple | list) or len(outputs) != 2:
            raise fail(
                "detector", "a pair, boxes (N, B, 4) and scores (N, B, K)", outputs
            )
        boxes, values = (widen(jnp.asarray(v)) for v in outputs)
        shapes = boxes.ndim == values.ndim == 3 and boxes.shape[2] == 4
        if not shapes or boxes.shape[:2] != values.shape[:2]:
            got = (boxes.shape, values.shape)
            raise fail("detector", "boxes (N, B, 4) and scores (N, B, K)", got)
        t = corners.astype(boxes.dtype)[:, None, None]
        x0, y0, x1, y1 = jnp.moveaxis(boxes, -1, 0)
        overlap = lambda low, high, a, b: jnp.maximum(
            jnp.minimum(high, b) - jnp.maximum(low, a), 0
        )
        shared = overlap(x0, x1, t[0], t[2]) * overlap(y0, y1, t[1], t[3])
        area = lambda x0, y0, x1, y1: jnp.maximum(x1 - x0, 0) * jnp.maximum(y1 - y0, 0)
        union = area(x0, y0, x1, y1) + area(*t) - shared
        likeness = (shared / union).astype(values.dtype)
        return _at_least_two(jnp.max(likeness[..., None] * values, axis=1))

    return logits_fn


def similarity(
    embed: Callable[[Array], Array], references: Array, *, scale: float = 1.0
) -> LogitsFn:
    """How like an image's embedding is to others, of texts or of images.

    ``zᵣ = c ⟨e(x), tᵣ⟩ / (‖e(x)‖₂ ‖tᵣ‖₂)``: a column a reference.

    Args:
      embed: images ``(N, H, W, C)`` to embeddings ``(N, D)``.
      references: t, ``(R, D)``: of CLIP the embeddings of R texts.
      scale: c; CLIP's is 100.

    Returns:
      A function of images to ``(N, R)``; ``(N, 2)`` for one reference, label 1. An
      embedding of zeros is like nothing, 0.

    Raises:
      ValueError: references that are not ``(R, D)``; when called, embeddings of another
        size.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> embed = lambda x: x.reshape(len(x), -1)
      >>> like = ja.scores.similarity(embed, jnp.eye(4)[:2])
      >>> like(jnp.array([3.0, 4.0, 0.0, 0.0]).reshape(1, 2, 2, 1))
      Array([[0.6, 0.8]], dtype=float32)
    """
    targets = jnp.asarray(references)
    if targets.ndim != 2 or not jnp.issubdtype(targets.dtype, jnp.floating):
        raise fail("references", "float embeddings (R, D)", targets)

    def logits_fn(images: Array) -> Array:
        values = widen(embed(images))
        if values.ndim != 2 or values.shape[1] != targets.shape[1]:
            expected = f"embeddings (N, {targets.shape[1]}), as the references"
            raise fail("embed", expected, values)
        directions = norms.unit(targets.astype(values.dtype), 1)
        return _at_least_two(scale * (norms.unit(values, 1) @ directions.T))

    return logits_fn


def two_columns(logits_fn: Callable[[Array], Array]) -> LogitsFn:
    """A model with one output z as one with logits ``(0, z)`` of two classes.

    Its softmax has ``sigmoid(z)`` for class 1, so that every method and attack takes
    it. Label 1 is what the output speaks for, label 0 the opposite. So is any scalar of an
    image explained: a regression, a distance, a count.

    Args:
      logits_fn: images ``(N, H, W, C)`` to ``(N, 1)`` or ``(N,)``, before the sigmoid.

    Returns:
      A function of images to logits ``(N, 2)``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> model = ja.scores.two_columns(lambda x: jnp.sum(x, axis=(1, 2, 3)))
      >>> ja.saliency(model, jnp.ones((1, 1, 1, 2)), jnp.array([1])).ravel()
      Array([1., 1.], dtype=float32)
    """
    return lambda images: _at_least_two(logits_fn(images).reshape(images.shape[0], 1))


def _at_least_two(logits: Array) -> Array:
    """One column z as ``(0, z)``."""
    if logits.shape[1] > 1:
        return logits
    return jnp.concatenate([jnp.zeros_like(logits), logits], axis=1)
