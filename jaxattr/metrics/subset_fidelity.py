"""Does a map foretell what the score loses with a set of pixels? By random sets.

``sensitivity_n`` takes any n pixels, ``mu_fidelity`` cells of a grid: both hold the sum of
a map over the set against the score that is lost where a substrate replaces it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxattr import _random, scores
from jaxattr._checks import (
    check_attributions_of,
    check_choice,
    check_integer,
    check_key,
    check_like_images,
    check_number,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches, stack_over
from jaxattr._numerics import norms
from jaxattr._numerics.rankings import top_k_mask
from jaxattr.metrics.agreement import spearman
from jaxattr.typing import Array, LogitsFn, Scalar, Score

LEAST_SAMPLES = 3
"""A correlation of two pairs is always 1 or -1."""


def sensitivity_n(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    *,
    labels: Array,
    key: Array | None = None,
    n: int,
    num_samples: int = 100,
    substrate: Scalar = 0.0,
    score: Score | str = scores.logit,
    batch_size: int | None = None,
) -> Array:
    """The correlation of a map's sum over n pixels with what the score loses with them.

    Pearson's correlation over random sets S of n pixels, all channels of a pixel together,
    between ``Σ_{i∈S} Aᵢ`` and ``f(x) - f(x_S)``, x_S the image with the substrate on S.
    Higher is better: 1 for the exact map ``w ⊙ (x - s)`` of a linear model at any n.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: A, ``(N, H, W, C)`` or ``(N, H, W)``, in units of the score.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      n: how many pixels a set has, below ``H·W``.
      num_samples: sets an image, at least 3, each a model pass.
      substrate: what stands on the set: a number, ``(H, W, C)`` or ``(N, H, W, C)``.
      score: f; see ``jaxattr.scores``.
      batch_size: the most model rows in one call.

    Returns:
      ``(N,)`` in [-1, 1]; NaN where all sums, or all losses, are the same.

    Raises:
      ValueError: shapes that do not fit, no key, n not in range, too few samples.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images = jax.random.uniform(jax.random.key(1), (1, 4, 4, 3))
      >>> labels = jnp.array([2])
      >>> maps = ja.input_x_gradient(logits_fn, images, labels)
      >>> found = ja.sensitivity_n(
      ...     logits_fn, images, maps, labels=labels, key=jax.random.key(0), n=3)
      >>> f"{found[0]:.4f}"
      '1.0000'

    References:
      Ancona, Ceolini, Öztireli, Gross. Towards Better Understanding of Gradient-based
      Attribution Methods for Deep Neural Networks. ICLR 2018, arXiv:1711.06104.
    """
    n = check_integer("n", n)

    def sets(images: Array) -> Callable[[Array], Array]:
        shape = images.shape[1:3]
        num_pixels = shape[0] * shape[1]
        if n >= num_pixels:
            raise fail("n", f"fewer than the {num_pixels} pixels of an image", n)

        def draw(keys: Array) -> Array:
            values = _random.uniform(keys, (num_pixels,), jnp.float32)
            return top_k_mask(values, n).reshape(*keys.shape, *shape)

        return draw

    return _correlation(
        logits_fn,
        images,
        attributions,
        labels,
        key,
        sets=sets,
        correlation="pearson",
        num_samples=num_samples,
        substrate=substrate,
        score=score,
        batch_size=batch_size,
    )


def mu_fidelity(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    *,
    labels: Array,
    key: Array | None = None,
    num_samples: int = 200,
    grid: int = 9,
    fraction: Scalar = 0.2,
    substrate: Scalar = 0.0,
    correlation: str = "spearman",
    score: Score | str = scores.logit,
    batch_size: int | None = None,
) -> Array:
    """The correlation of a map's sum over cells of a grid with what the score loses.

    ``corr_S(Σ_{i∈S} Aᵢ, f(x) - f(x_S))`` over random sets S, each ``⌊fraction · grid²⌋``
    cells of a ``grid × grid`` one, at least one; x_S is the image with the substrate on S.
    Higher is better: 1 for the exact map ``w ⊙ (x - s)`` of a linear model.

    The publication has single pixels and Pearson's correlation; grid and ranks are those of
    the implementation that is in use, in Xplique.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      attributions: A, ``(N, H, W, C)`` or ``(N, H, W)``, in units of the score.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      num_samples: sets an image, at least 3, each a model pass.
      grid: cells a side; in an image with fewer pixels a side, its pixels.
      fraction: the share of cells in a set, above 0 and below 1.
      substrate: what stands on the set: a number, ``(H, W, C)`` or ``(N, H, W, C)``.
      correlation: ``spearman``, of the ranks, or ``pearson``.
      score: f; see ``jaxattr.scores``.
      batch_size: the most model rows in one call.

    Returns:
      ``(N,)`` in [-1, 1]; NaN where all sums, or all losses, are the same.

    Raises:
      ValueError: shapes that do not fit, no key, too few samples, a fraction of none or all
        cells, an unknown correlation.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images = jax.random.uniform(jax.random.key(1), (1, 4, 4, 3))
      >>> labels = jnp.array([2])
      >>> maps = ja.input_x_gradient(logits_fn, images, labels)
      >>> found = ja.mu_fidelity(
      ...     logits_fn, images, maps, labels=labels, key=jax.random.key(0))
      >>> f"{found[0]:.3f}"
      '1.000'

    References:
      Bhatt, Weller, Moura. Evaluating and Aggregating Feature-based Model Explanations.
      IJCAI 2020, arXiv:2005.00631.
      Fel, Hervier, Vigouroux, Poche, et al. Xplique: A Deep Learning Explainability
      Toolbox. 2022, arXiv:2206.04394.
    """
    grid = check_integer("grid", grid)
    fraction = float(check_number("fraction", fraction, 0.0, 1.0))
    if not 0 < fraction < 1:
        raise fail("fraction", "a number above 0 and below 1", fraction)
    check_choice("correlation", correlation, ("pearson", "spearman"))

    def sets(images: Array) -> Callable[[Array], Array]:
        rows, columns = (_cells(size, grid) for size in images.shape[1:3])
        shape = (rows.shape[1], columns.shape[1])
        num_cells = shape[0] * shape[1]
        if num_cells < 2:
            raise fail("grid", "at least two cells", grid)
        num_taken = max(1, int(fraction * num_cells))

        def draw(keys: Array) -> Array:
            values = _random.uniform(keys, (num_cells,), jnp.float32)
            taken = top_k_mask(values, num_taken).reshape(*keys.shape, *shape)
            # Products with rows of the identity: a gather would leave a sharded mesh.
            spread = jnp.einsum(
                "...gk,hg,wk->...hw", taken.astype(jnp.float32), rows, columns
            )
            return spread > 0.5

        return draw

    return _correlation(
        logits_fn,
        images,
        attributions,
        labels,
        key,
        sets=sets,
        correlation=correlation,
        num_samples=num_samples,
        substrate=substrate,
        score=score,
        batch_size=batch_size,
    )


def _cells(size: int, grid: int) -> Array:
    """Which of at most ``grid`` cells a row belongs to, ``(size, cells)`` of 0 and 1."""
    grid = min(grid, size)
    cell = np.arange(size) * grid // size
    return jnp.asarray(cell[:, None] == np.arange(grid)[None], jnp.float32)


def _correlation(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    key: Array | None,
    *,
    sets: Callable[[Array], Callable[[Array], Array]],
    correlation: str,
    num_samples: int,
    substrate: Scalar,
    score: Score | str,
    batch_size: int | None,
) -> Array:
    """Over sets ``(S, N, H, W)`` that ``sets(images)`` draws from keys ``(S, N)``."""
    logits_fn, images, labels = check_task(logits_fn, images, labels, finite=False)
    score = scores.as_score(score)
    attributions = check_attributions_of(images, attributions).astype(images.dtype)
    keys = check_key(key, labels)
    num_samples = check_integer("num_samples", num_samples, LEAST_SAMPLES)
    substrate = check_like_images("substrate", substrate, images)
    maps = jnp.sum(attributions, axis=-1)

    def compute(
        samples_per_call: int,
        images: Array,
        maps: Array,
        substrate: Array,
        labels: Array,
        keys: Array,
    ) -> Array:
        score_fn = scores.stacked_rows(score, logits_fn, labels)
        draw, value = sets(images), score_fn(images)

        def terms(index: Array) -> Array:
            taken = draw(_random.fold_in(keys, index))
            sums = jnp.sum(jnp.where(taken, maps[None], 0), axis=(2, 3))
            points = jnp.where(taken[..., None], substrate[None], images[None])
            return jnp.stack([sums, value[None] - score_fn(points)], axis=1)

        pairs = stack_over(terms, num_samples, samples_per_call)
        return correlated(pairs[:, 0].T, pairs[:, 1].T, correlation)

    return by_image_batches(compute, batch_size, images, maps, substrate, labels, keys)


def correlated(a: Array, b: Array, correlation: str) -> Array:
    """Of rows ``(N, S)``, NaN where one of the two does not vary."""
    if correlation == "spearman":
        found = spearman(a[:, None], b[:, None])
    else:
        centred = [v - jnp.mean(v, axis=1, keepdims=True) for v in (a, b)]
        unit_a, unit_b = (norms.unit(v, 1) for v in centred)
        found = jnp.clip(jnp.sum(unit_a * unit_b, axis=1), -1, 1)
    varies = [jnp.max(v, axis=1) > jnp.min(v, axis=1) for v in (a, b)]
    is_known = ~jnp.isnan(a).any(axis=1) & ~jnp.isnan(b).any(axis=1)
    return jnp.where(varies[0] & varies[1] & is_known, found, jnp.nan)
