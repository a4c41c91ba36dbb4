"""Local attribution: AGI within a neighbourhood that grows with the pixel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxattr import projections, scores
from jaxattr._checks import (
    check_bounds,
    check_integer,
    check_key,
    check_number,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches
from jaxattr.attributions.targets import (
    check_num_targets,
    count_classes,
    draw_targets,
    sum_over_targets,
)
from jaxattr.gradients import gradient, gradient_at_points
from jaxattr.paths import PathInfo, adversarial_path, integrate_path
from jaxattr.steps import sign_step
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar


def la(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    num_targets: int = 20,
    targets: Array | None = None,
    num_steps: int = 20,
    spatial_range: Scalar = 20.0,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """Local attribution.

    ``A = -Σ_l Σₜ (xₜ₊₁ - x) ⊙ ∂p_y/∂x (xₜ)`` over the targets l and one untargeted path,
    p the softmax probabilities, x₀ = x the image, and::

        toward l     xₜ₊₁ = clip(x + |x|/s ⊙ sign ∂p_l/∂x (xₜ))
        untargeted   xₜ₊₁ = clip(x - |x|/s ⊙ sign ∂p_y/∂x (xₜ))

    So a value is only ever looked at within the fraction 1/s of itself, a black one not
    at all. No path stops before T steps.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``; the released code takes the predicted class.
      key: one typed key, or ``(N,)``, one an image. Needed unless ``targets`` are given.
      batch_size: the most model rows in one call.
      num_targets: random classes an image, without repetition, at most ``K - 1``. Not
        used where ``targets`` are given.
      targets: integers ``(T,)``, the same for every image, or ``(N, T)``. One that is
        the image's label is replaced by its neighbour, as in the released code: the
        class after it, or before it if it is the last.
      num_steps: T; two gradients each for every target, and one for the untargeted path.
      spatial_range: s, one over the relative size of the neighbourhood.
      bounds: the least and the largest pixel value.

    Returns:
      ``(N, H, W, C)``, in probability. The sign step has no derivative.

    Raises:
      ValueError: as ``saliency``; neither key nor targets; as many targets as classes;
        targets of another shape, or that are no classes; a ``spatial_range`` of zero.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.0]).reshape(1, 1, 1, 3)
      >>> maps = ja.la(logits_fn, image, jnp.array([0]), targets=jnp.array([1, 2]))
      >>> (maps.ravel() > 0).tolist()
      [True, True, False]

    References:
      Zhu et al. Enhancing Model Interpretability with Local Attribution over Global
      Exploration. ACM MM 2024, arXiv:2408.07736. The released code draws T classes and
      uses T - 1, and in a batch sums the probabilities of all images' classes; here
      every class is used, and every image has its own.
    """
    bounds = check_bounds(bounds)
    logits_fn, images, labels = check_task(logits_fn, images, labels, bounds=bounds)
    num_targets = check_integer("num_targets", num_targets)
    num_steps = check_integer("num_steps", num_steps)
    spatial_range = _check_range(spatial_range)
    num_classes = count_classes(logits_fn, images, batch_size)
    if targets is None:
        keys = check_key(key, labels)
        check_num_targets(num_targets, num_classes)
        targets = draw_targets(keys, labels, num_targets, num_classes)
    else:
        targets = _check_targets(targets, labels, num_classes)

    def explain(
        targets_per_call: int, images: Array, labels: Array, targets: Array
    ) -> Array:
        def follow(images: Array, labels: Array, targets: Array | None) -> Array:
            return _follow(
                logits_fn,
                images,
                labels,
                targets,
                num_steps=num_steps,
                spatial_range=spatial_range,
                bounds=bounds,
            )

        targeted = sum_over_targets(follow, images, labels, targets, targets_per_call)
        return targeted + follow(images, labels, None)

    return by_image_batches(explain, batch_size, images, labels, targets)


def _follow(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    targets: Array | None,
    *,
    num_steps: int,
    spatial_range: Scalar,
    bounds: Bounds,
) -> Array:
    """The part of one path toward the targets, or away from the labels, in the map."""
    label_probability = scores.probability(logits_fn, labels)
    if targets is None:
        driver, step = label_probability, -jnp.abs(images) / spatial_range
    else:
        driver = scores.probability(logits_fn, targets)
        step = jnp.abs(images) / spatial_range
    path = adversarial_path(
        gradient_at_points(driver),
        direction=optax.identity(),
        move=sign_step(step),
        project=lambda points: projections.box(points, bounds),
        origin=images,
    )

    def integrand(info: PathInfo[Array]) -> Array:
        if targets is None:
            return info.direction
        return gradient(label_probability, info.points)

    return -integrate_path(path, images, None, num_steps=num_steps, integrand=integrand)


def _check_range(spatial_range: Scalar) -> Scalar:
    spatial_range = check_number("spatial_range", spatial_range, 0.0)
    if isinstance(spatial_range, float) and spatial_range == 0:
        raise fail("spatial_range", "a number above 0", spatial_range)
    return spatial_range


def _check_targets(targets: Array, labels: Array, num_classes: int) -> Array:
    """``(N, T)``, none of them the label."""
    expected = f"integers (T,) or ({len(labels)}, T), classes 0 to {num_classes - 1}"
    array = jnp.asarray(targets)
    shape = array.shape[-1:] if array.ndim == 1 else (len(labels), *array.shape[1:])
    known = jnp.issubdtype(array.dtype, jnp.integer) and array.ndim in (1, 2)
    if not known or array.shape != shape or 0 in shape:
        raise fail("targets", expected, targets)
    if not isinstance(array, jax.core.Tracer):
        values = np.asarray(array)
        wrong = values[(values < 0) | (values >= num_classes)]
        if wrong.size:
            raise fail("targets", expected, int(wrong[0]))
    # Added to zeros, so that they are sharded as the labels are.
    array = jnp.zeros_like(labels)[:, None] + jnp.atleast_2d(array).astype(labels.dtype)
    neighbour = jnp.where(labels < num_classes - 1, labels + 1, labels - 1)
    return jnp.where(array == labels[:, None], neighbour[:, None], array)
