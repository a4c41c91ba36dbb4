"""RISE: which pixels are seen when the score is high, over random masks."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._checks import check_integer, check_key, check_number, check_task, fail
from jaxattr._loops import by_image_batches, mean_over
from jaxattr.attributions import replacement
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score


def rise(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    num_samples: int = 4000,
    grid: int | tuple[int, int] = 7,
    probability: Scalar = 0.5,
    substrate: Array | float = 0.0,
    score: Score | str = scores.logit,
    bounds: Bounds = (0.0, 1.0),
    return_standard_error: bool = False,
) -> Array:
    """The mean of random masks, weighted by the score of what they show.

    ``A = 1/(p S) Σₛ score(s + m ⊙ (x - s)) m``. A mask m is a grid of cells, each one
    with probability p and else zero, enlarged bilinearly until a cell has
    ``⌈H/grid⌉ x ⌈W/grid⌉`` pixels and one more of them fits, and cut out at a random
    place. ``E[m] = p`` at every pixel, so ``A`` estimates the mean score given that a
    pixel is seen: it is not zero where nothing matters. Every image has masks of its
    own. They are made from ``key`` when they are used, none is kept, and the same key
    makes the same masks for any model.

    Only values of the model are used, no derivatives: it may be a remote service. See
    ``docs/perturbation.md``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      num_samples: masks an image, each a model pass.
      grid: cells along each side, or rows and columns.
      probability: p, that a cell is shown.
      substrate: what is shown where the mask is zero: a number, ``(H, W, C)`` or
        ``(N, H, W, C)``, in pixel units.
      score: what is explained; the paper has ``"probability"``.
      bounds: of the pixels; the substrate must lie in them.
      return_standard_error: return ``(2, N, H, W, C)``, maps and the standard error of
        each value over the draw of the masks.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``saliency``; no key; more cells than pixels; a probability of
        zero or above one; a substrate outside the bounds; one sample where a standard
        error is asked for.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: x[:, 0, 0, :] * jnp.array([[1.0, 0.0]])
      >>> images, labels = jnp.ones((1, 8, 8, 1)), jnp.array([0])
      >>> key = jax.random.key(0)
      >>> maps = ja.rise(logits_fn, images, labels, key=key, num_samples=500, grid=2)
      >>> bool(maps[0, 0, 0, 0] > maps[0, 7, 7, 0] + 0.2)  # the model sees the corner
      True

    References:
      Petsiuk, Das, Saenko. RISE: Randomized Input Sampling for Explanation of
      Black-box Models. BMVC 2018, arXiv:1806.07421. Their code shares the masks among
      images, and reflects at the edge of the grid where this repeats its last cell.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    substrate = replacement.check_substrate(substrate, images, bounds)
    score = scores.as_score(score)
    keys = check_key(key, labels)
    num_samples = check_integer("num_samples", num_samples, 1 + return_standard_error)
    size = (images.shape[1], images.shape[2])
    cells = _cells(grid, size)
    probability = check_number("probability", probability, 0.0, 1.0)
    if isinstance(probability, float) and probability == 0:
        raise fail("probability", "a number above zero", probability)

    def explain(
        together: int, images: Array, labels: Array, substrate: Array, keys: Array
    ) -> tuple[Array, ...]:
        score_fn = scores.stacked_rows(score, logits_fn, labels)

        def terms(index: Array) -> tuple[Array, ...]:
            masks = _random.per_key(
                lambda key: draw_mask(key, size, cells, probability, images.dtype)
            )(_random.fold_in(keys, index))
            values = score_fn(replacement.shown(images, substrate, masks))
            seen = values[..., None, None] * masks.astype(values.dtype)
            return (seen, seen**2) if return_standard_error else (seen,)

        mean, *square = mean_over(terms, num_samples, together)
        maps = [mean / probability]
        if square:
            variance = jnp.maximum(square[0] - mean**2, 0) / (num_samples - 1)
            maps += [jnp.sqrt(variance) / probability]
        return tuple(replacement.as_maps(m, images) for m in maps)

    found = by_image_batches(explain, batch_size, images, labels, substrate, keys)
    return jnp.stack(found) if return_standard_error else found[0]


def draw_mask(
    key: Array,
    size: tuple[int, int],
    cells: tuple[int, int],
    probability: Scalar,
    dtype: jnp.dtype,
) -> Array:
    """One mask ``(H, W)`` of values in [0, 1]; see ``rise``."""
    cell_key, place_key = jax.random.split(key)
    shown = jax.random.uniform(cell_key, cells, dtype) < probability
    places = jax.random.uniform(place_key, (2,), dtype)
    rows, columns = (
        _enlarging(size[axis], cells[axis], places[axis]) for axis in (0, 1)
    )
    highest = jax.lax.Precision.HIGHEST
    wide = jnp.matmul(shown.astype(dtype), columns.T, precision=highest)
    return jnp.matmul(rows, wide, precision=highest)


def _enlarging(side: int, cells: int, place: Array) -> Array:
    """``(side, cells)``: bilinear weights of a grid that is enlarged and cut out.

    Args:
      side: of the image, in pixels.
      cells: along it.
      place: uniform in [0, 1), of the cut.
    """
    pixels = -(-side // cells)
    start = jnp.floor(place * pixels)
    pixel = jnp.arange(side, dtype=place.dtype)
    source = (start + pixel + 0.5) * (cells / ((cells + 1) * pixels)) - 0.5
    source = jnp.clip(source, 0, cells - 1)
    cell = jnp.arange(cells, dtype=place.dtype)
    return jnp.maximum(1 - jnp.abs(source[:, None] - cell[None]), 0)


def _cells(grid: int | tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    pair = grid if isinstance(grid, tuple | list) else (grid, grid)
    if len(pair) != 2:
        raise fail("grid", "a number of cells, or (rows, columns)", grid)
    rows, columns = (check_integer("grid", n) for n in pair)
    if rows > size[0] or columns > size[1]:
        raise fail("grid", f"at most the image's {size[0]} x {size[1]} pixels", grid)
    return rows, columns
