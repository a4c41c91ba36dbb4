"""Attributions at the nearest decision boundary: BSM, BIG and BSG."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._checks import check_key, check_task
from jaxattr._numerics import quadrature
from jaxattr.attributions.gradient import saliency, smoothgrad
from jaxattr.attributions.integrated import integrate_from
from jaxattr.boundaries.member import where_images
from jaxattr.boundaries.nearest import BoundaryPoint, PointOrSearch, boundary_point
from jaxattr.boundaries.search import as_search
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score


def bsm(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    search: PointOrSearch = None,
    score: Score | str = scores.logit,
) -> Array:
    """Boundary saliency map: the gradient at the nearest point of another class.

    ``A = ∂ score / ∂ x (x')``, x' of ``nearest_boundary``. With ``score=ja.scores.margin``
    it is the normal of the boundary itself.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds of the search.
      labels: integers ``(N,)``, what is explained. The boundary is that of the
        predicted class, or of the label if the search has ``leave="label"``.
      key: one typed key, or ``(N,)``, one an image. Needed unless nothing is drawn: the
        search is a ``BoundaryPoint`` or has no member that draws.
      batch_size: the most model rows in one call.
      search: a ``BoundarySearch``, or its members or their names alone, as in
        ``nearest_boundary``; or a ``BoundaryPoint`` found before: search once,
        attribute many.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value. NaN where no
      boundary was found: zero would say that no pixel matters. The search has no
      derivative; the point has that of an implicit function.

    Raises:
      ValueError: as ``nearest_boundary``; a ``BoundaryPoint`` of other images.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> maps = ja.bsm(
      ...     logits_fn, image, jnp.array([0]), search="deepfool", score=ja.scores.margin
      ... )
      >>> [float(value) for value in maps.ravel()]
      [4.0, -4.0, 0.0]

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257.
    """
    logits_fn, images, labels = check_task(
        logits_fn, images, labels, bounds=_bounds(search)
    )
    boundary = boundary_point(
        logits_fn, images, labels, key=key, search=search, batch_size=batch_size
    )
    maps = saliency(
        logits_fn, boundary.points, labels, batch_size=batch_size, score=score
    )
    return _where_found(boundary, maps)


def big(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    search: PointOrSearch = None,
    num_steps: int = 50,
    rule: str = "midpoint",
    multiply_by_delta: bool = True,
    score: Score | str = scores.logit,
) -> Array:
    """Boundary-based integrated gradients: from the nearest boundary point to the image.

    ``A = (x - x') ⊙ ∫₀¹ ∂ score / ∂ x (x' + α (x - x')) dα``, x' of ``nearest_boundary``.
    The values of an image sum to ``score(x) - score(x')`` up to the error of the
    quadrature.

    Args:
      logits_fn: as in ``bsm``.
      images: as in ``bsm``.
      labels: as in ``bsm``.
      key: as in ``bsm``.
      batch_size: the most model rows in one call.
      search: as in ``bsm``.
      num_steps: nodes of the quadrature, each a model pass.
      rule: as in ``integrated_gradients``.
      multiply_by_delta: without it, the mean gradient itself, as the definition in
        words has it; the released code multiplies.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score. NaN where no boundary was found. The
      search has no derivative; the point has that of an implicit function.

    Raises:
      ValueError: as ``bsm`` and ``integrated_gradients``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> maps = ja.big(
      ...     logits_fn, image, jnp.array([0]), search="deepfool", score=ja.scores.margin
      ... )
      >>> [f"{value:.2f}" for value in maps.ravel()]
      ['0.20', '0.20', '0.00']

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257.
    """
    logits_fn, images, labels = check_task(
        logits_fn, images, labels, bounds=_bounds(search)
    )
    nodes = quadrature.rule(rule, num_steps)
    score = scores.as_score(score)
    boundary = boundary_point(
        logits_fn, images, labels, key=key, search=search, batch_size=batch_size
    )
    maps = integrate_from(
        logits_fn,
        images,
        labels,
        boundary.points,
        nodes,
        score=score,
        multiply_by_delta=multiply_by_delta,
        batch_size=batch_size,
    )
    return _where_found(boundary, maps)


def bsg(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    search: PointOrSearch = None,
    num_samples: int = 50,
    stddev: Scalar = 0.15,
    score: Score | str = scores.logit,
) -> Array:
    """Boundary SmoothGrad: the gradient averaged over noise around the boundary point.

    ``A = 1/N Σₙ ∂ score / ∂ x (x' + σ ξₙ)``, ``ξₙ ~ N(0, I)``, x' of ``nearest_boundary``.

    Args:
      logits_fn: as in ``bsm``.
      images: as in ``bsm``.
      labels: as in ``bsm``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      search: as in ``bsm``.
      num_samples: noisy copies an image, each a model pass.
      stddev: σ in pixel units.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value. NaN where no
      boundary was found: zero would say that no pixel matters. The search has no
      derivative; the point has that of an implicit function.

    Raises:
      ValueError: as ``bsm`` and ``smoothgrad``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images, labels = jnp.ones((1, 1, 1, 3)), jnp.array([2])
      >>> maps = ja.bsg(logits_fn, images, labels, key=jax.random.key(0), search="fab")
      >>> [f"{value:.1f}" for value in maps.ravel()]
      ['0.0', '0.0', '2.0']

    References:
      Wang, Fredrikson, Datta. Boundary Attributions Provide Normal (Vector)
      Explanations. 2021, arXiv:2103.11257v1.
    """
    logits_fn, images, labels = check_task(
        logits_fn, images, labels, bounds=_bounds(search)
    )
    search_keys, noise_keys = _random.split(check_key(key, labels), 2)
    boundary = boundary_point(
        logits_fn, images, labels, key=search_keys, search=search, batch_size=batch_size
    )
    maps = smoothgrad(
        logits_fn,
        boundary.points,
        labels,
        key=noise_keys,
        batch_size=batch_size,
        num_samples=num_samples,
        stddev=stddev,
        score=score,
    )
    return _where_found(boundary, maps)


def _bounds(search: PointOrSearch) -> Bounds | None:
    """Of the images; a point that was found before has had its images checked."""
    return None if isinstance(search, BoundaryPoint) else as_search(search).bounds


def _where_found(boundary: BoundaryPoint, maps: Array) -> Array:
    """A point that is no boundary point explains nothing, and zero would explain."""
    return where_images(boundary.found, maps, jnp.full_like(maps, jnp.nan))
