"""I-ASIDE: which frequency bands a classifier lives on, by Shapley values."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._checks import (
    check_batch_size,
    check_choice,
    check_integer,
    check_key,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches, stack_over
from jaxattr.attributions import coalition_images
from jaxattr.attributions.spectral_score import spectral_distribution, spectral_score
from jaxattr.frequencies.bands import CONVENTIONS, band_masks
from jaxattr.games import sampled_shapley, shapley
from jaxattr.typing import Array, LogitsFn, Score, ScoreFn


class SpectralImportance(NamedTuple):
    """What a model owes to each of M frequency bands, the lowest first."""

    values: Array
    """``(M,)``: Shapley values, the mean of ``per_image``. They sum to
    ``v(all) - v(none)``."""
    per_image: Array
    """``(N, M)``: the Shapley values of each image's own game."""
    standard_error: Array
    """``(M,)``: of ``values`` as means over images (and draws); infinite for N = 1."""
    coalition_values: Array
    """``(2^M,)``: v(S), ordered as ``coalitions(M)``, so that Banzhaf values and
    interactions need no further model call. Of a sampled estimator: v(none) and
    v(all), ``(2,)``."""
    distribution: Array
    """``(M,)``: see ``spectral_distribution``."""
    score: Array
    """``()``: see ``spectral_score``."""


def spectral_importance(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    num_bands: int = 8,
    convention: str = "centered",
    absent: str = "zero",
    estimator: str = "exact",
    num_samples: int | None = None,
    norm: str = "linf",
    score: Score | str = scores.log_probability,
    batch_size: int | None = None,
    key: Array | None = None,
) -> SpectralImportance:
    """Shapley values of frequency bands as players of a game for the right answer.

    ``v(S) = 1/N Σ_x log softmax(f(x_S))_y``, where ``x_S`` keeps the bands in S::

        x_S = F⁻¹(mask_S ⊙ F x + (1 - mask_S) ⊙ B),   φ = Shapley(v)

    All coalitions see the same images, so φ is a mean over images of their own Shapley
    values and its standard error needs no further model call. Filtering is linear: an
    image is transformed once and a coalition image is a sum of bands, so time and
    memory are the model's.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)`` in [0, 1].
      labels: integers ``(N,)``, the true classes.
      num_bands: M, at most 20 for ``exact``, which costs ``2^M`` model passes an image
        (8: 256; 16: 65,536). See ``band_masks``.
      convention: ``centered``, real band images, nothing rescaled, so that filtered
        images may leave [0, 1] and the game keeps the Shapley axioms; or ``released``,
        as the authors' code: boxes off the centre, the modulus of the filtered images,
        stretched to [0, 1] over all N images of a coalition, and nothing at all for the
        empty one. There an image's values depend on the batch it came in.
      absent: what stands in for absent bands, B: ``zero``; ``random``, the spectrum of
        another of the images (a random permutation, kept for all coalitions); or
        ``gaussian``, a spectrum of noise ``N(0, 1/4) + i N(0, 1/4)``. The last two need
        ``key``. Frequencies in no band (``band_masks``) are always absent.
      estimator: ``exact``, or ``kernel`` or ``permutation`` for many bands (see
        ``shapley_sampled``); every image has draws of its own, and ``key`` is needed.
      num_samples: model passes an image of a sampled estimator.
      norm: ``linf`` or ``l2``, the shape of the rings.
      score: what a coalition is worth on an image; see ``jaxattr.scores``.
      batch_size: the most model rows in one call. Fewer than N are filled with the
        coalitions of few images, more with several coalitions of all.
      key: one typed key, or ``(N,)``, one an image.

    Returns:
      A ``SpectralImportance``, values in nats per image.

    Raises:
      ValueError: as ``saliency``; more bands than the image or the estimator allows;
        no key where one is needed; ``num_samples`` missing or too small.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> brightness = lambda x: jnp.mean(x, axis=(1, 2)) * jnp.array([[4.0, 0, 0]])
      >>> images, labels = jnp.full((2, 8, 8, 3), 0.5), jnp.array([0, 0])
      >>> found = ja.spectral_importance(brightness, images, labels, num_bands=3)
      >>> [f"{abs(value):.3f}" for value in found.values]  # only the mean differs
      ['0.859', '0.000', '0.000']

    References:
      Luo, McDermott, O'Riordan. Interpreting Global Perturbation Robustness of Image
      Models using Axiomatic Spectral Importance Decomposition. TMLR 2024,
      arXiv:2408.01139. Their code draws new images for every coalition; here all
      coalitions share them, which has the same mean and far less noise.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    num_bands = check_integer("num_bands", num_bands)
    check_choice("convention", convention, CONVENTIONS)
    check_choice("absent", absent, coalition_images.ABSENT)
    check_choice("estimator", estimator, {"exact", *sampled_shapley.ESTIMATORS})
    height, width = images.shape[1:3]
    masks = band_masks(height, width, num_bands, norm=norm, convention=convention)
    fill_keys = plan_keys = None
    if estimator != "exact" or absent != "zero":
        fill_keys, plan_keys = _random.split(check_key(key, labels), 2)
    plans, estimate = _plans(estimator, convention, num_bands, num_samples, plan_keys)
    num_coalitions = 2**num_bands if plans is None else plans.shape[1]
    rows = check_batch_size(batch_size) or len(images)

    def table(together: int, images: Array, labels: Array, fill: Any, plans: Any):
        """``(n, coalitions)`` values, ``together`` coalitions in a call."""
        filtered = coalition_images.filters(images, fill, masks, convention)
        worth = scores.stacked_rows(score, logits_fn, labels)
        if convention == "released":
            worth = _in_batches(score, logits_fn, labels, rows)

        def some(index: Array) -> Array:
            return worth(filtered(_members(index, plans, len(images), num_bands)))

        return stack_over(some, num_coalitions, together).T

    per_image_inputs = (
        images,
        labels,
        coalition_images.fill(absent, images, fill_keys),
        plans,
    )
    if convention == "released":
        values = table(1, *per_image_inputs)
    elif rows >= len(images):
        values = table(rows // len(images), *per_image_inputs)
    else:
        # Few images and many of their coalitions: a coalition image is then made from
        # bands that are at hand, and costs next to nothing beside its model pass.
        share = max(1, rows // num_coalitions)
        values = by_image_batches(
            lambda _, *batch: table(rows // share, *batch), share, *per_image_inputs
        )
    if plans is None:
        return importance_of_values(values.T)
    per_image, _ = jax.vmap(estimate)(plans, values)
    return importance_of_images(per_image, jnp.mean(values[:, :2], axis=0))


def importance_of_values(coalition_values: Array) -> SpectralImportance:
    """What ``spectral_importance`` makes of all coalition values ``(2^M, N)``."""
    per_image = shapley.shapley_values(coalition_values).T
    return importance_of_images(per_image, jnp.mean(coalition_values, axis=1))


def importance_of_images(
    per_image: Array, coalition_values: Array
) -> SpectralImportance:
    """The same of each image's Shapley values ``(N, M)`` and the mean game ``(2^M,)``."""
    average = jnp.mean(per_image, axis=0)
    distribution = spectral_distribution(average)
    return SpectralImportance(
        values=average,
        per_image=per_image,
        standard_error=_standard_error(per_image),
        coalition_values=coalition_values,
        distribution=distribution,
        score=spectral_score(distribution),
    )


def _plans(
    estimator: str,
    convention: str,
    num_bands: int,
    num_samples: int | None,
    keys: Array | None,
) -> tuple[Array | None, Any]:
    """Each image's sampled coalitions ``(N, S, M)`` and what to make of their values."""
    if estimator == "exact":
        if num_bands > shapley.MAX_PLAYERS:
            what = (
                f"at most {shapley.MAX_PLAYERS} for estimator 'exact', which needs 2^M "
                "model passes an image; 'kernel' takes more"
            )
            raise fail("num_bands", what, num_bands)
        return None, None
    if convention == "released":
        what = "'exact' for 'released', which stretches a coalition over all images"
        raise fail("estimator", what, estimator)
    if num_bands < 2:
        raise fail("num_bands", f"two or more for estimator {estimator!r}", num_bands)
    if num_samples is None:
        raise fail("num_samples", f"a number for estimator {estimator!r}", None)
    chosen = sampled_shapley.check_estimator(estimator, num_bands, num_samples)
    plan = jax.vmap(lambda key: chosen.plan(key, num_bands, num_samples))
    return plan(keys), chosen.estimate


def _members(
    index: Array, plans: Array | None, num_images: int, num_bands: int
) -> Array:
    """Who is in coalitions ``(S,)`` of each image: ``(n, S, M)`` bool."""
    if plans is not None:
        return plans[:, index]
    bits = (index[:, None] >> jnp.arange(num_bands)[None, :]) & 1
    return jnp.broadcast_to(bits.astype(bool)[None], (num_images, *bits.shape))


def _in_batches(score: Score, logits_fn: LogitsFn, labels: Array, rows: int) -> ScoreFn:
    """The score of one coalition of all images ``(1, N, H, W, C)``, in batches."""

    def worth(points: Array) -> Array:
        return by_image_batches(
            lambda _, x, y: score(logits_fn, y)(x), rows, points[0], labels
        )[None]

    return worth


def _standard_error(per_image: Array) -> Array:
    num_images = len(per_image)
    if num_images == 1:
        return jnp.full_like(per_image[0], jnp.inf)
    return jnp.std(per_image, axis=0, ddof=1) / num_images**0.5
