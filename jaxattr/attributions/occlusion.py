"""Occlusion: how far the score falls where a window hides the image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import scores
from jaxattr._checks import check_integer, check_task, fail
from jaxattr._loops import by_image_batches, stack_over
from jaxattr.attributions import replacement
from jaxattr.typing import Array, Bounds, LogitsFn, Score


def occlusion(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    window: int | tuple[int, int] = 16,
    stride: int | tuple[int, int] = 8,
    substrate: Array | float = 0.0,
    score: Score | str = scores.logit,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """The mean fall of the score over the windows that hide a pixel.

    ``A_p = 1/|W_p| Σ_{w ∈ W_p} score(x) - score(x with s in w)``, ``W_p`` the windows that
    cover pixel p. Windows stand ``stride`` apart from the upper left corner on, and the
    last of a row or column is cut off at the edge of the image: every pixel is covered.
    On a linear model, ``w·x``, each window has the sum of ``w (x - s)`` in it.

    Only values of the model are used, no derivatives: it may be a remote service. See
    ``docs/perturbation.md``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      window: its side in pixels, or height and width; it hides all channels.
      stride: pixels from one window to the next, at most the window's side, or down
        and right.
      substrate: what stands in the window: a number, ``(H, W, C)`` or
        ``(N, H, W, C)``, in pixel units.
      score: what is explained; see ``jaxattr.scores``.
      bounds: of the pixels; the substrate must lie in them.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``saliency``; a window larger than the image, a stride larger than
        the window, a substrate outside the bounds.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.array([[1.0, 2.0]])
      >>> images = jnp.array([1.0, 0.0, 0.5, 0.0]).reshape(1, 1, 4, 1)
      >>> labels = jnp.array([1])
      >>> ja.occlusion(logits_fn, images, labels, window=(1, 2), stride=(1, 1)).ravel()
      Array([2. , 1.5, 1. , 1. ], dtype=float32)

    References:
      Zeiler, Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014,
      arXiv:1311.2901.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    substrate = replacement.check_substrate(substrate, images, bounds)
    score = scores.as_score(score)
    size = (images.shape[1], images.shape[2])
    down, right = _windows(window, stride, size)
    num_windows = len(down) * len(right)

    def explain(together: int, images: Array, labels: Array, substrate: Array) -> Array:
        score_fn = scores.stacked_rows(score, logits_fn, labels)

        def falls(index: Array) -> Array:
            rows, columns = (
                jnp.asarray(places)[at]
                for places, at in (
                    (down, index // len(right)),
                    (right, index % len(right)),
                )
            )
            hidden = (rows[:, :, None] & columns[:, None, :])[:, None]
            return score_fn(replacement.selected(images, substrate, ~hidden))

        falls_by_window = score_fn(images)[None] - stack_over(
            falls, num_windows, together
        )
        falls_by_window = falls_by_window.T.reshape(-1, len(down), len(right))
        dtype = falls_by_window.dtype
        sums = jnp.einsum(
            "nrc,rh,cw->nhw",
            falls_by_window,
            *(jnp.asarray(places, dtype) for places in (down, right)),
            precision=jax.lax.Precision.HIGHEST,
        )
        number = np.outer(down.sum(0), right.sum(0))
        return replacement.as_maps(sums / jnp.asarray(number, dtype)[None], images)

    return by_image_batches(explain, batch_size, images, labels, substrate)


def _windows(
    window: int | tuple[int, int], stride: int | tuple[int, int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows, and which columns, each window covers: ``(windows, side)`` bool."""
    sides, steps = _pair("window", window), _pair("stride", stride)
    if sides[0] > size[0] or sides[1] > size[1]:
        raise fail(
            "window", f"at most the image's {size[0]} x {size[1]} pixels", window
        )
    if steps[0] > sides[0] or steps[1] > sides[1]:
        expected = f"at most the window's {window}, or pixels are in no window"
        raise fail("stride", expected, stride)
    along = []
    for length, side, step in zip(size, sides, steps):
        first = step * np.arange(-(-(length - side) // step) + 1)[:, None]
        place = np.arange(length)[None]
        along.append((place >= first) & (place < first + side))
    return along[0], along[1]


def _pair(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise fail(name, "a number of pixels, or (height, width)", value)
        return check_integer(name, value[0]), check_integer(name, value[1])
    return (check_integer(name, value),) * 2
