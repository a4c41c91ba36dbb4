"""IDGI: the change of the score along a path, shared out by squared gradients."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import (
    check_choice,
    check_integer,
    check_like_images,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches
from jaxattr.attributions.guided import guided_path
from jaxattr.frequencies.scale_space import blurred
from jaxattr.paths import PathInfo, fold_path, sum_of_changes
from jaxattr.steps import unit
from jaxattr.typing import Array, LogitsFn, Scalar, Score, ScoreFn

_PATHS = ("straight", "guided", "blur")
_MAX_SIGMA = 50.0


def idgi(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    baseline: Scalar = 0.0,
    num_steps: int = 50,
    path: str = "straight",
    score: Score | str = scores.logit,
) -> Array:
    """Important direction gradient integration.

    ``A = Σₜ (f(xₜ₊₁) - f(xₜ)) gₜ² / ‖gₜ‖²``, f the score and g its gradient, squared value
    by value: of each step of a path only what lies along the gradient counts, since only
    that changes the score. The values of an image sum to ``f(x) - f(x₀)`` exactly, however
    few steps there are, unless a gradient vanishes altogether: such a step has no share.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      baseline: x₀, a number, an image ``(H, W, C)`` or ``(N, H, W, C)``; of the paths
        ``straight`` and ``guided``.
      num_steps: T, each a gradient and a forward pass.
      path: ``straight``, as of ``integrated_gradients``; ``guided``, of ``guided_ig`` with
        its default settings; or ``blur``, from the image blurred by 50 pixels to itself in
        equal steps of the scale, as ``blur_ig``.
      score: what is explained; see ``jaxattr.scores``. The paper explains the probability.

    Returns:
      ``(N, H, W, C)``, in units of the score. Along ``guided`` the map is only piecewise
      differentiable.

    Raises:
      ValueError: as ``integrated_gradients``; an unknown path; a baseline for ``blur``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.arange(3.0)[None]
      >>> images = jnp.ones((1, 1, 1, 3))
      >>> ja.idgi(logits_fn, images, jnp.array([2])).ravel().round(4)
      Array([0., 0., 2.], dtype=float32)

    References:
      Yang, Wang, Bilgic. IDGI: A Framework to Eliminate Explanation Noise from Integrated
      Gradients. CVPR 2023, arXiv:2303.14242.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    num_steps = check_integer("num_steps", num_steps)
    check_choice("path", path, _PATHS)
    if path == "blur" and not (isinstance(baseline, int | float) and baseline == 0):
        raise fail("baseline", "none, as the path 'blur' begins at a blur", baseline)
    start = check_like_images("baseline", baseline, images)

    def explain(
        steps_per_call: int, images: Array, labels: Array, start: Array
    ) -> Array:
        if path == "guided":
            return _along_guided(score(logits_fn, labels), start, images, num_steps)

        def points(index: Array) -> Array:
            share = index.astype(images.dtype) / num_steps
            if path == "blur":
                return blurred(images, _MAX_SIGMA * (1 - share), _MAX_SIGMA)
            return (
                start[None] + share[:, None, None, None, None] * (images - start)[None]
            )

        return sum_of_changes(
            scores.stacked_rows(score, logits_fn, labels),
            points,
            num_steps,
            lambda slope: unit(slope) ** 2,
            steps_per_call=steps_per_call,
        )

    return by_image_batches(explain, batch_size, images, labels, start)


def _along_guided(score_fn: ScoreFn, start: Array, end: Array, num_steps: int) -> Array:
    """The map along a path whose next point the gradient decides."""
    path = guided_path(
        score_fn, start, end, num_steps=num_steps, fraction=0.25, max_dist=0.02
    )

    def add(total: tuple[Array, Array], info: PathInfo[Array]) -> tuple[Array, Array]:
        maps, last = total
        value = score_fn(info.points + info.displacement)
        change = (value - last)[:, None, None, None]
        return maps + change * unit(info.gradient) ** 2, value

    total = (jnp.zeros_like(start), score_fn(start))
    maps: Array
    _, (maps, _) = fold_path(path, start, None, num_steps, total, add)
    return maps
