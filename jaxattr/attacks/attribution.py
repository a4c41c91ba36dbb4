"""Attacks on explanations: small changes that move the map and not the prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxattr import _norms, _windows, projections, scores
from jaxattr._checks import (
    check_bounds,
    check_choice,
    check_integer,
    check_key,
    check_labels,
    check_number,
    fail,
)
from jaxattr._dtypes import widen
from jaxattr._random import per_key
from jaxattr._rankings import pixel_magnitudes, top_k_mask
from jaxattr._task import check_bounded_images, checked_model
from jaxattr.attacks.adversarial import AttackResult
from jaxattr.paths import adversarial_path, fold_path
from jaxattr.steps import normalize_l1, sign_step
from jaxattr.typing import Array, LogitsFn

KINDS = ("mass_center", "random_sign", "target", "top_k")


def attack_explanation(
    explain_fn: Callable[..., Array],
    images: Array,
    *,
    key: Array | None = None,
    kind: str = "top_k",
    k: int | None = None,
    epsilon: Any = 8 / 255,
    step_size: Any = 1 / 255,
    num_steps: int = 100,
    logits_fn: LogitsFn | None = None,
    labels: Array | None = None,
    score_explain_fn: Callable[[Array], Array] | None = None,
    measure: Callable[[Array, Array], Array] | None = None,
    window: int = 0,
    target: Array | None = None,
    schedule: optax.Schedule | None = None,
    momentum: Any = 0.0,
    bounds: tuple[Any, Any] = (0.0, 1.0),
) -> AttackResult:
    """Moves images within a small ball so that their explanation changes most.

    ``x ← Π(x + α sign ∇ J(A(x)))``, from the image itself, Π the projection onto the L∞
    ball of radius ε and onto the bounds, A the explanation as one size a pixel,
    ``Σ_c |A_c|``, scaled to a mean of one. Of all T + 1 points, the image among them,
    the one with the least measure is kept, if the model still predicts its label.

    ===============  =============================================  ===================
    kind             objective J, to ascend                         measure, by default
    ===============  =============================================  ===================
    ``top_k``        ``-Σ A`` over the image's top k, dilated by w  ``|Sₖ ∩ S'ₖ| / k``
    ``mass_center``  ``‖C(A) - ⌊C₀⌋‖²``, ``C = Σ A·(row, col)/HW``  ``-‖C - C₀‖``
    ``target``       ``Σ A`` over the target                        ``-Σ A / HW``
    ``random_sign``  none: signs are drawn at random each step      ``|Sₖ ∩ S'ₖ| / k``
    ===============  =============================================  ===================

    ReLU networks have no curvature, and the gradient of a gradient map through one is
    zero almost everywhere: the attack would stand still. Explain a twin with softplus
    for ReLU (``activation`` of ``ja.models.load``), and give the explanation of the
    original as ``score_explain_fn``: steps follow the twin, the best one is chosen on
    the original. Softplus of sharpness β, ``log(1 + exp(βx)) / β``, comes nearer to
    ReLU as ``schedule`` raises β.

    Args:
      explain_fn: images ``(N, H, W, C)`` to maps ``(N, H, W, C)``, such as ``lambda x:
        ja.saliency(logits_fn, x, labels)``. It is only ever called with exactly the N
        images, in order; with ``schedule``, as ``explain_fn(images, schedule(t))``.
      images: float ``(N, H, W, C)``, within the bounds.
      key: one typed key, or ``(N,)``, one an image; for ``random_sign``.
      kind: ``top_k``, ``mass_center``, ``target`` or ``random_sign``.
      k: pixels of the top set, at most ``H·W``. Needed where the table has it.
      epsilon: ε in pixel units.
      step_size: α in pixel units. ``random_sign`` with one step of ε is the plain
        random perturbation.
      num_steps: T, each one gradient of the explanation.
      logits_fn: images to logits ``(N, K)``. With ``labels``, a step counts only where
        its argmax is the label.
      labels: integers ``(N,)``.
      score_explain_fn: explains where steps are judged; by default ``explain_fn`` at
        the last value of the schedule.
      measure: maps of the image and of a point, each ``(N, H, W)``, to ``(N,)``; the
        point with the least is kept. Any measure of agreement will do, such as
        ``ja.kendall`` or a partial ``ja.lens_recall``.
      window: w, for ``top_k``: the attack that knows of LENS presses down all within w
        of the top pixels.
      target: bool or float weights ``(H, W)`` or ``(N, H, W)``, for ``target``.
      schedule: step, a float, to a number, an optax schedule, for a twin that changes.
      momentum: of the normalised gradient, 0 for none.
      bounds: the least and the largest pixel value.

    Returns:
      An ``AttackResult``: the kept points ``(N, H, W, C)``; ``success`` ``(N,)``,
      whether one with a lower measure than the image's own was found; Euclidean
      distances ``(N,)`` in pixel units. Where nothing was found the image stands.

    Raises:
      ValueError: an unknown kind; k or window out of range; one of ``logits_fn`` and
        ``labels`` alone; no key for ``random_sign``; no target for ``target``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> explain_fn = lambda x: x**2
      >>> images = jnp.array([0.6, 0.55, 0.2, 0.1]).reshape(1, 2, 2, 1)
      >>> found = ja.attack_explanation(
      ...     explain_fn, images, k=1, epsilon=0.1, step_size=0.1, num_steps=1
      ... )
      >>> bool(found.success[0]), [f"{value:.2f}" for value in found.images.ravel()]
      (True, ['0.50', '0.65', '0.30', '0.20'])

    References:
      Ghorbani, Abid, Zou. Interpretation of Neural Networks Is Fragile. AAAI 2019,
      arXiv:1710.10547 (top_k, mass_center). Dombrowski et al. Explanations can be
      manipulated and geometry is to blame. NeurIPS 2019, arXiv:1906.07983 (target,
      softplus). Kamath et al. AAAI 2024, arXiv:2312.10534 (window, random_sign).
    """
    bounds = check_bounds(bounds)
    images = widen(check_bounded_images(images, bounds))
    check_choice("kind", kind, KINDS)
    k = _check_k(k, kind, measure, images)
    check_integer("num_steps", num_steps)
    check_integer("window", window, 0)
    for name, value in (("epsilon", epsilon), ("step_size", step_size)):
        check_number(name, value, 0.0)
    labels = _check_labels(labels, logits_fn, images)
    if labels is not None:
        logits_fn = checked_model(logits_fn, labels)
    weights = _check_target(target, kind, images)
    draws = kind == "random_sign"
    keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int)) if draws else None

    def map_of(explain: Callable[[Array], Array], points: Array) -> Array:
        return _unit_mean(pixel_magnitudes(widen(explain(points))))

    def explain_at(step: Any) -> Callable[[Array], Array]:
        if schedule is None:
            return explain_fn
        return lambda points: explain_fn(points, schedule(step))

    judge = score_explain_fn or explain_at(float(num_steps))
    # Where the steps follow what is judged, the map of a point is there already.
    is_judge = score_explain_fn is None and schedule is None
    original = map_of(judge, images)
    objective = _objective(kind, original, k, window, weights)
    measure = measure or _measure(kind, k, weights)

    def drive(at: tuple[Array | None, Array], points: Array) -> tuple[Array, Any]:
        """The gradient, and the map that was made on the way if it can be judged."""
        keys, step = at
        if draws:
            draw = per_key(lambda key: jax.random.rademacher(key, images.shape[1:]))
            return draw(keys).astype(images.dtype), None

        def total(points: Array) -> tuple[Array, Array]:
            maps = map_of(explain_at(step), points)
            return jnp.sum(objective(maps)), maps

        gradient, maps = jax.grad(total, has_aux=True)(points)
        return gradient, maps if is_judge else None

    def keep(
        best: tuple[Array, Array], points: Array, maps: Any
    ) -> tuple[Array, Array]:
        """The better of the best so far and these points, image by image."""
        value = measure(original, map_of(judge, points) if maps is None else maps)
        better = value < best[1]
        if labels is not None:
            better &= scores.correct(logits_fn(points), labels)
        is_better = better[:, None, None, None]
        return jnp.where(is_better, points, best[0]), jnp.where(better, value, best[1])

    path = adversarial_path(
        drive,
        direction=_direction(momentum),
        move=sign_step(step_size),
        project=lambda points: projections.box(
            projections.linf_ball(points, images, epsilon), bounds
        ),
    )

    start = measure(original, original)
    state, best = fold_path(
        path,
        images,
        keys,
        num_steps,
        (images, start),
        lambda best, info: keep(best, info.points, info.gradient[1]),
        given=lambda keys, t: (keys, t.astype(images.dtype)),
    )
    points, value = keep(best, state.points, None)
    distances = _norms.norm(points - images, (1, 2, 3))
    return AttackResult(points, value < start, distances)


def _unit_mean(maps: Array) -> Array:
    """Maps scaled to a mean of one; a map of zeros stays."""
    mean = jnp.mean(maps, axis=(1, 2), keepdims=True)
    # Two wheres: a division by zero would be NaN in the derivative too.
    return jnp.where(mean == 0, maps, maps / jnp.where(mean == 0, 1, mean))


def _mass_center(maps: Array) -> Array:
    """``Σ A · (row, column) / (H W)``, ``(N, 2)``."""
    size = maps.shape[1] * maps.shape[2]
    places = [
        jnp.sum(maps * jax.lax.broadcasted_iota(maps.dtype, maps.shape, axis), (1, 2))
        for axis in (1, 2)
    ]
    return jnp.stack(places, axis=-1) / size


def _objective(
    kind: str, original: Array, k: int, window: int, weights: Array | None
) -> Callable[[Array], Array]:
    """What the steps ascend, maps to ``(N,)``."""
    if kind == "top_k":
        pressed = _windows.dilate(_top(original, k), window)
        return lambda maps: -jnp.sum(jnp.where(pressed, maps, 0), axis=(1, 2))
    if kind == "mass_center":
        # Rounded down, as released: at the centre itself the gradient would be zero,
        # and the first step would go nowhere.
        center = jnp.floor(_mass_center(original))
        return lambda maps: jnp.sum((_mass_center(maps) - center) ** 2, axis=-1)
    return lambda maps: jnp.sum(maps * weights, axis=(1, 2))


def _measure(
    kind: str, k: int, weights: Array | None
) -> Callable[[Array, Array], Array]:
    """What the kept step has least of, maps of image and point to ``(N,)``."""
    if kind == "mass_center":

        def nearness(a: Array, b: Array) -> Array:
            shift = _mass_center(b) - _mass_center(a)
            return -_norms.norm(shift, -1)

        return nearness
    if kind == "target":
        return lambda a, b: -jnp.mean(b * weights, axis=(1, 2))
    return lambda a, b: (
        jnp.sum(_top(a, k) & _top(b, k), axis=(1, 2)).astype(a.dtype) / k
    )


def _top(maps: Array, k: int) -> Array:
    return top_k_mask(maps.reshape(maps.shape[0], -1), k).reshape(maps.shape)


def _direction(momentum: Any) -> optax.GradientTransformation:
    gradient_alone = optax.stateless(lambda updates, _: updates[0])
    if isinstance(momentum, int | float) and momentum == 0:
        return gradient_alone
    return optax.chain(gradient_alone, normalize_l1(), optax.trace(momentum))


def _check_k(k: Any, kind: str, measure: Any, images: Array) -> int:
    num_pixels = images.shape[1] * images.shape[2]
    is_used = kind == "top_k" or (kind == "random_sign" and measure is None)
    if k is None and not is_used:
        return num_pixels
    if check_integer("k", k) > num_pixels:
        raise fail("k", f"at most the {num_pixels} pixels of a map", k)
    return k


def _check_labels(
    labels: Array | None, logits_fn: LogitsFn | None, images: Array
) -> Array | None:
    if (logits_fn is None) != (labels is None):
        missing = "labels" if labels is None else "logits_fn"
        raise fail(missing, "logits_fn and labels together, or neither", None)
    return None if labels is None else check_labels(labels, images.shape[0])


def _check_target(target: Array | None, kind: str, images: Array) -> Array | None:
    if kind != "target":
        return None
    shape = images.shape[:3]
    expected = f"weights {shape[1:]} or {shape} for kind='target'"
    if target is None or jnp.shape(target) not in (shape[1:], shape):
        raise fail("target", expected, target)
    return jnp.broadcast_to(jnp.asarray(target).astype(images.dtype), shape)
