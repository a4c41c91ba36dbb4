"""Stability: how alike maps are of images that are perturbed and keep their class."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxattr import _random, perturbations
from jaxattr._checks import (
    check_attributions,
    check_images,
    check_integer,
    check_key,
    check_number,
    fail,
)
from jaxattr._logits import checked_model
from jaxattr._loops import stack_over
from jaxattr._numerics.dtypes import widen
from jaxattr._numerics.rankings import pixel_magnitudes
from jaxattr.metrics.agreement import spearman, top_k_intersection
from jaxattr.metrics.similarity import cosine_similarity, ssim
from jaxattr.typing import Array, LogitsFn, Perturbation, Scalar


class Stability(NamedTuple):
    """Means over the pairs of an image whose class is held, ``(N,)`` each."""

    ssim: Array
    """Of the structure, in [-1, 1]; see ``ja.ssim``."""
    spearman: Array
    """Of the ranks of all pixels, in [-1, 1]."""
    jaccard: Array
    """Of the sets of the k largest pixels, intersection over union, in [0, 1]."""
    cosine: Array
    """Of the direction, in [-1, 1]."""
    held: Array
    """The share of pairs whose class is held, in [0, 1]."""


def stability(
    logits_fn: LogitsFn,
    explain_fn: Callable[[Array], Array],
    images: Array,
    *,
    key: Array | None = None,
    num_samples: int = 10,
    stddev: Scalar = 0.02,
    perturbation: Perturbation | None = None,
    k: int | None = None,
    window: int = 3,
) -> Stability:
    """How alike the maps of an image and of perturbed copies of it are, class held.

    Only pairs count of which the model says the same class: where it does not, another map
    is what one should see, and most pairs may be such. Likeness is taken apart into
    structure (SSIM), order (Spearman) and the most important pixels (Jaccard of the top k),
    and direction besides; higher is more stable.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      explain_fn: images ``(N, H, W, C)`` to maps ``(N, H, W, C)`` or ``(N, H, W)``; only
        ever called with exactly the N images, in order. The sizes of channels are summed.
      images: float ``(N, H, W, C)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      num_samples: perturbed copies an image, each an explanation.
      stddev: σ of Gaussian noise in pixel units, not clipped.
      perturbation: other copies, from ``jaxattr.perturbations``. One that moves pixels
        moves the map as well: then undo that in ``explain_fn``.
      k: how many pixels the top has, by default a tenth of them.
      window: of the SSIM, as ``ssim`` has it; cut down to what fits a small map.

    Returns:
      A ``Stability``. Where no pair holds its class ``held`` is 0 and the rest NaN; a map
      with a NaN among pairs that hold makes its means NaN.

    Raises:
      ValueError: shapes that do not fit, no key, fewer than one sample, k not in range.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1)
      >>> images = jax.random.uniform(jax.random.key(1), (1, 8, 8, 3))
      >>> found = ja.stability(logits_fn, lambda x: x, images, key=jax.random.key(0))
      >>> bool(found.spearman[0] > 0.9), float(found.held[0])
      (True, 1.0)

    References:
      Subramaniakuppusamy, Gajjar. Feature Attribution Stability Suite: How Stable Are
      Post-Hoc Attributions? 2026, arXiv:2604.02532.
    """
    images = widen(check_images(images))
    logits_fn = checked_model(logits_fn, None)
    keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int))
    num_samples = check_integer("num_samples", num_samples)
    num_pixels = images.shape[1] * images.shape[2]
    k = check_integer("k", max(1, num_pixels // 10) if k is None else k)
    window = check_integer("window", window)
    window = min(window, (min(images.shape[1:3]) - 1) // 2)
    if window < 1:
        raise fail("images", "images of at least 3 x 3 pixels", images)
    stddev = check_number("stddev", stddev, 0.0)
    draw = (perturbation or perturbations.gaussian(stddev))(images)

    def explained(images: Array) -> Array:
        return pixel_magnitudes(check_attributions(explain_fn(images), "explain_fn"))

    maps, classes = explained(images), jnp.argmax(logits_fn(images), axis=-1)

    def terms(index: Array) -> Array:
        points = draw(_random.fold_in(keys, index))[0]
        moved = explained(points)
        shared = top_k_intersection(maps, moved, k=k)
        found = (
            ssim(maps, moved, window=window),
            spearman(maps, moved),
            shared / (2 - shared),
            cosine_similarity(maps, moved),
            (jnp.argmax(logits_fn(points), axis=-1) == classes).astype(maps.dtype),
        )
        return jnp.stack(found)[None]

    *likeness, held = jnp.moveaxis(stack_over(terms, num_samples), 1, 0)
    count = jnp.sum(held, axis=0)
    mean = lambda values: jnp.sum(jnp.where(held > 0, values, 0), axis=0) / count
    structure, ranks, sets, direction = map(mean, likeness)
    return Stability(structure, ranks, sets, direction, count / num_samples)
