"""Attributions at the nearest decision boundary: BSM, BIG and BSG."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxattr import _random, scores
from jaxattr._checks import check_inputs, check_key, fail
from jaxattr.attributions.gradient import saliency, smoothgrad
from jaxattr.attributions.integrated import integrated_gradients
from jaxattr.boundaries.nearest import BoundaryPoint, check_options, nearest_boundary
from jaxattr.boundaries.search import where_images
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
    units: Any = "pixels",
    norm: str = "l2",
    side: str = "outside",
    leave: str = "predicted",
    gradient: str = "ray",
    score: Score = scores.logit,
) -> Array:
    """Boundary saliency map: the gradient at the nearest point of another class.

    ``A = ∂ score / ∂ x (x')``, x' of ``nearest_boundary``. With ``score=ja.scores.margin``
    it is the normal of the boundary itself.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``, what is explained. The boundary is that of the
        predicted class, or with ``leave="label"`` that of the label.
      key: one typed key, or ``(N,)``, one an image. Needed unless nothing is drawn: the
        search is a ``BoundaryPoint`` or has no member that draws.
      batch_size: the most model rows in one call.
      search: members of a search, as ``nearest_boundary`` takes them, or a
        ``BoundaryPoint`` found before, which no option of a search changes: search
        once, attribute many.
      num_bisections: as in ``nearest_boundary``.
      mode: as in ``nearest_boundary``. ``released`` with ``units="normalized"`` is the
        released search but for its bounds, one interval for all channels of what the
        network is given; the quadrature of the released ``big``, whose weights sum to
        ``(n - 1) / n``, is not replayed.
      bounds: the least and the largest pixel value.
      units: of the search alone; maps are per unit of pixel value.
      norm: as in ``nearest_boundary``.
      side: as in ``nearest_boundary``.
      leave: as in ``nearest_boundary``.
      gradient: as in ``nearest_boundary``.
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
    how = _Options(num_bisections, mode, bounds, units, norm, side, leave, gradient)
    boundary = _boundary(logits_fn, images, labels, key, batch_size, search, how)
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
    search: Any = None,
    num_bisections: int = 20,
    mode: str = "bisected",
    bounds: tuple[Any, Any] = (0.0, 1.0),
    units: Any = "pixels",
    norm: str = "l2",
    side: str = "outside",
    leave: str = "predicted",
    gradient: str = "ray",
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
      num_bisections: as in ``bsm``.
      mode: as in ``bsm``.
      bounds: as in ``bsm``.
      units: as in ``bsm``.
      norm: as in ``bsm``.
      side: as in ``bsm``.
      leave: as in ``bsm``.
      gradient: as in ``bsm``.
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
    how = _Options(num_bisections, mode, bounds, units, norm, side, leave, gradient)
    boundary = _boundary(logits_fn, images, labels, key, batch_size, search, how)
    maps = integrated_gradients(
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
    return _where_found(boundary, maps)


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
    units: Any = "pixels",
    norm: str = "l2",
    side: str = "outside",
    leave: str = "predicted",
    gradient: str = "ray",
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
      num_bisections: as in ``bsm``.
      mode: as in ``bsm``.
      bounds: as in ``bsm``.
      units: as in ``bsm``.
      norm: as in ``bsm``.
      side: as in ``bsm``.
      leave: as in ``bsm``.
      gradient: as in ``bsm``.
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
    images, labels = check_inputs(images, labels)
    search_keys, noise_keys = _random.split(check_key(key, labels), 2)
    how = _Options(num_bisections, mode, bounds, units, norm, side, leave, gradient)
    boundary = _boundary(
        logits_fn, images, labels, search_keys, batch_size, search, how
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


class _Options(NamedTuple):
    """What is passed on to ``nearest_boundary``."""

    num_bisections: int
    mode: str
    bounds: tuple[Any, Any]
    units: Any
    norm: str
    side: str
    leave: str
    gradient: str


def _boundary(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    key: Array | None,
    batch_size: int | None,
    search: Any,
    options: _Options,
) -> BoundaryPoint:
    """The one that was found before, or found now."""
    given: dict[str, Any] = options._asdict()
    if not isinstance(search, BoundaryPoint):
        given |= {"key": key, "search": search, "batch_size": batch_size}
        return nearest_boundary(logits_fn, images, labels, **given)
    images, _ = check_inputs(images, labels)
    check_options(images, **given)
    if search.points.shape != images.shape:
        raise fail("search", f"a BoundaryPoint of images {images.shape}", search.points)
    return search._replace(points=search.points.astype(images.dtype))


def _where_found(boundary: BoundaryPoint, maps: Array) -> Array:
    """A point that is no boundary point explains nothing, and zero would explain."""
    return where_images(boundary.found, maps, jnp.full_like(maps, jnp.nan))
