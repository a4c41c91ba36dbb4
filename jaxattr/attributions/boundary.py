"""Attributions at the nearest decision boundary: BSM, BIG and BSG."""

from __future__ import annotations

from typing import Any

from jaxattr import _random, scores
from jaxattr._checks import check_inputs, check_key, fail
from jaxattr.attacks.boundary import BoundaryPoint, nearest_boundary
from jaxattr.attributions.gradient import saliency, smoothgrad
from jaxattr.attributions.integrated import integrated_gradients
from jaxattr.typing import Array, LogitsFn, Score


def bsm(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    search: Any = None,
    num_bisections: int = 20,
    mode: str = "bisected",
    bounds: tuple[Any, Any] = (0.0, 1.0),
    score: Score = scores.logit,
) -> Array:
    """Boundary saliency map: the gradient at the nearest point of another class.

    ``A = ∂ score / ∂ x (x')``, x' of ``nearest_boundary``. With ``score=ja.scores.margin``
    it is the normal of the boundary itself.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``, what is explained. The boundary is that of the
        predicted class; see ``leave`` of ``nearest_boundary`` for another.
      key: one typed key, or ``(N,)``, one an image. Needed unless nothing is drawn: the
        search is a ``BoundaryPoint`` or has no member that draws.
      batch_size: the most model rows in one call.
      search: members of a search, as ``nearest_boundary`` takes them, or a
        ``BoundaryPoint`` found before: search once, attribute many.
      num_bisections: as in ``nearest_boundary``.
      mode: as in ``nearest_boundary``.
      bounds: the least and the largest pixel value.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value. Where no boundary
      was found it is the saliency of the image. The search has no derivative; the point
      has that of an implicit function, its direction held.

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
    boundary = _boundary(
        logits_fn, images, labels, key, batch_size, search, num_bisections, mode, bounds
    )
    return saliency(
        logits_fn, boundary.points, labels, batch_size=batch_size, score=score
    )


def big(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    search: Any = None,
    num_bisections: int = 20,
    mode: str = "bisected",
    bounds: tuple[Any, Any] = (0.0, 1.0),
    num_steps: int = 50,
    rule: str = "midpoint",
    multiply_by_delta: bool = True,
    score: Score = scores.logit,
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
      num_bisections: as in ``nearest_boundary``.
      mode: as in ``nearest_boundary``.
      bounds: the least and the largest pixel value.
      num_steps: nodes of the quadrature, each a model pass.
      rule: as in ``integrated_gradients``.
      multiply_by_delta: without it, the mean gradient itself, as the definition in
        words has it; the released code multiplies.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score. Zero where no boundary was found. The
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
    boundary = _boundary(
        logits_fn, images, labels, key, batch_size, search, num_bisections, mode, bounds
    )
    return integrated_gradients(
        logits_fn,
        images,
        labels,
        batch_size=batch_size,
        baseline=boundary.points,
        num_steps=num_steps,
        rule=rule,
        score=score,
        multiply_by_delta=multiply_by_delta,
    )


def bsg(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    search: Any = None,
    num_bisections: int = 20,
    mode: str = "bisected",
    bounds: tuple[Any, Any] = (0.0, 1.0),
    num_samples: int = 50,
    stddev: Any = 0.15,
    score: Score = scores.logit,
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
      num_bisections: as in ``nearest_boundary``.
      mode: as in ``nearest_boundary``.
      bounds: the least and the largest pixel value.
      num_samples: noisy copies an image, each a model pass.
      stddev: σ in pixel units.
      score: what is explained; see ``jaxattr.scores``.

    Returns:
      ``(N, H, W, C)``, in units of the score per unit of pixel value. Where no boundary
      was found it is SmoothGrad of the image. The search has no derivative; the point
      has that of an implicit function.

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
    images, labels = check_inputs(images, labels)
    search_keys, noise_keys = _random.split(check_key(key, labels), 2)
    boundary = _boundary(
        logits_fn,
        images,
        labels,
        search_keys,
        batch_size,
        search,
        num_bisections,
        mode,
        bounds,
    )
    return smoothgrad(
        logits_fn,
        boundary.points,
        labels,
        key=noise_keys,
        batch_size=batch_size,
        num_samples=num_samples,
        stddev=stddev,
        score=score,
    )


def _boundary(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    key: Array | None,
    batch_size: int | None,
    search: Any,
    num_bisections: int,
    mode: str,
    bounds: tuple[Any, Any],
) -> BoundaryPoint:
    """The one that was found before, or found now."""
    if not isinstance(search, BoundaryPoint):
        return nearest_boundary(
            logits_fn,
            images,
            labels,
            key=key,
            search=search,
            num_bisections=num_bisections,
            batch_size=batch_size,
            mode=mode,
            bounds=bounds,
        )
    images, _ = check_inputs(images, labels)
    if search.points.shape != images.shape:
        raise fail("search", f"a BoundaryPoint of images {images.shape}", search.points)
    return search._replace(points=search.points.astype(images.dtype))
