"""Attacks on explanations: small changes that move the map and not the prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxattr import projections, scores
from jaxattr._checks import (
    check_bounded_images,
    check_bounds,
    check_choice,
    check_integer,
    check_key,
    check_labels,
    check_number,
    fail,
)
from jaxattr._logits import checked_model
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr._numerics.rankings import pixel_magnitudes
from jaxattr._random import per_key
from jaxattr.attacks.explanations.objectives import (
    KINDS,
    Measure,
    check_k,
    check_target,
    objective_of,
)
from jaxattr.attacks.run import AttackResult
from jaxattr.paths import adversarial_path, fold_path
from jaxattr.steps import momentum as momentum_rule
from jaxattr.steps import sign_step
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar


def attack_explanation(
    explain_fn: Callable[..., Array],
    images: Array,
    *,
    key: Array | None = None,
    kind: str = "top_k",
    k: int | None = None,
    epsilon: Scalar = 8 / 255,
    step_size: Scalar = 1 / 255,
    num_steps: int = 100,
    logits_fn: LogitsFn | None = None,
    labels: Array | None = None,
    score_explain_fn: Callable[[Array], Array] | None = None,
    measure: Measure | None = None,
    window: int = 0,
    target: Array | None = None,
    schedule: optax.Schedule | None = None,
    momentum: Scalar = 0.0,
    bounds: Bounds = (0.0, 1.0),
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
    # Checking what is asked.
    bounds = check_bounds(bounds)
    images = widen(check_bounded_images(images, bounds))
    check_choice("kind", kind, KINDS)
    k = check_k(k, kind, measure, images)
    check_integer("num_steps", num_steps)
    check_integer("window", window, 0)
    for name, value in (("epsilon", epsilon), ("step_size", step_size)):
        check_number(name, value, 0.0)
    target = check_target(target, kind, images)
    is_held = _label_check(logits_fn, labels, images)
    keys = None
    if kind == "random_sign":
        keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int))

    # What is explained, ascended and measured.
    def explain_at(step: Scalar) -> ExplainFn:
        if schedule is None:
            return explain_fn
        return lambda points: explain_fn(points, schedule(step))

    judge = score_explain_fn or explain_at(float(num_steps))
    original = _magnitudes(judge, images)
    objective = objective_of(kind, original, k=k, window=window, target=target)
    measure = measure or objective.measure

    # Following the path, and keeping its best point.
    if objective.ascended is None:
        drive = _random_signs(images)
    else:
        # Where the steps follow what is judged, the map of a point is there already.
        is_judge = score_explain_fn is None and schedule is None
        drive = _ascent(explain_at, objective.ascended, keep_maps=is_judge)

    def keep(best: _Best, points: Array, maps: Array | None) -> _Best:
        """The better of the best so far and these points, image by image."""
        maps = _magnitudes(judge, points) if maps is None else maps
        value = measure(original, maps)
        is_better = (value < best.value) & is_held(points)
        return _Best(
            jnp.where(is_better[:, None, None, None], points, best.points),
            jnp.where(is_better, value, best.value),
        )

    path = adversarial_path(
        drive,
        direction=_direction(momentum),
        move=sign_step(step_size),
        project=projections.linf_ball_and_box(images, epsilon, bounds),
    )
    start = measure(original, original)
    state, best = fold_path(
        path,
        images,
        keys,
        num_steps,
        _Best(images, start),
        lambda best, info: keep(best, info.points, info.gradient[1]),
        given=lambda keys, t: (keys, t.astype(images.dtype)),
    )
    points, value = keep(best, state.points, None)
    distances = norms.norm(points - images, (1, 2, 3))
    return AttackResult(points, value < start, distances)


ExplainFn = Callable[[Array], Array]
"""Images to maps ``(N, H, W, C)``."""

_Drive = Callable[[tuple[Array | None, Array], Array], tuple[Array, Array | None]]
"""Keys and step number, and points, to the gradient and the map made on the way.

The map is None where it is not the one that is judged.
"""


class _Best(NamedTuple):
    """The points that are kept."""

    points: Array
    value: Array
    """``(N,)``: the measure there."""


def _ascent(
    explain_at: Callable[[Scalar], ExplainFn],
    ascended: Callable[[Array], Array],
    *,
    keep_maps: bool,
) -> _Drive:
    """The gradient of the objective through the explanation."""

    def drive(
        at: tuple[Array | None, Array], points: Array
    ) -> tuple[Array, Array | None]:
        def total(points: Array) -> tuple[Array, Array]:
            maps = _magnitudes(explain_at(at[1]), points)
            return jnp.sum(ascended(maps)), maps

        gradient, maps = jax.grad(total, has_aux=True)(points)
        return gradient, maps if keep_maps else None

    return drive


def _random_signs(images: Array) -> _Drive:
    """A sign for each value, drawn at each step."""
    draw = per_key(lambda key: jax.random.rademacher(key, images.shape[1:]))

    def drive(at: tuple[Array | None, Array], points: Array) -> tuple[Array, None]:
        assert at[0] is not None
        return draw(at[0]).astype(images.dtype), None

    return drive


def _direction(momentum: Scalar) -> optax.GradientTransformation:
    gradient_alone = optax.stateless(lambda updates, _: updates[0])
    if isinstance(momentum, int | float) and momentum == 0:
        return gradient_alone
    return optax.chain(gradient_alone, momentum_rule(momentum))


def _magnitudes(explain: ExplainFn, points: Array) -> Array:
    """Maps ``(N, H, W)`` scaled to a mean of one; a map of zeros stays."""
    maps = pixel_magnitudes(widen(explain(points)))
    mean = jnp.mean(maps, axis=(1, 2), keepdims=True)
    # Two wheres: a division by zero would be NaN in the derivative too.
    return jnp.where(mean == 0, maps, maps / jnp.where(mean == 0, 1, mean))


def _label_check(
    logits_fn: LogitsFn | None, labels: Array | None, images: Array
) -> Callable[[Array], Array]:
    """Points to ``(N,)``: does the model predict the label there? Else always true."""
    if logits_fn is None and labels is None:
        return lambda points: jnp.ones_like(points[:, 0, 0, 0], bool)
    if logits_fn is None or labels is None:
        missing = "labels" if labels is None else "logits_fn"
        raise fail(missing, "logits_fn and labels together, or neither", None)
    known = check_labels(labels, images.shape[0])
    model = checked_model(logits_fn, labels)
    return lambda points: scores.correct(model(points), known)
