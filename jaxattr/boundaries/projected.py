"""Projected gradient members of a boundary search: PGD over radii, and step attacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from jaxattr import _random, scores
from jaxattr._checks import check_integer
from jaxattr.attacks.attack import Attack, Problem, attack_path, steps_of
from jaxattr.boundaries.member import (
    Best,
    BoundaryTask,
    Evaluated,
    Member,
    ball_and_box,
    check_radii,
    closest_on,
    evaluator,
    follow_gradient,
    over_radii,
    predicted,
    random_direction,
)
from jaxattr.paths import Path, PathInfo, PathState, adversarial_path
from jaxattr.steps import normalized_step, sign_step
from jaxattr.typing import Array

L2_RADII = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
LINF_RADII = tuple(r / 255 for r in (1, 2, 4, 8, 16, 32, 64))
RELEASED_RADII = (36 / 255, 64 / 255, 0.3, 0.5, 0.7, 0.9, 1.1)
_MOVES = {"l2": normalized_step, "linf": sign_step}


def pgd_l2(
    *,
    radii: Sequence[float] = L2_RADII,
    num_steps: int = 20,
    step_ratio: float = 2.5,
    random_start: bool = True,
) -> Member:
    """Projected gradient ascent of the cross-entropy in L2 balls of growing radius.

    ``x ← Π(x + α ∇ℓ / ‖∇ℓ‖₂)`` with ``α = step_ratio · ε / T``, from a uniform draw of the
    ball, for each radius ε until one succeeds. The closest point of another class on
    the way is kept. At most T gradients and one forward pass a radius.

    Args:
      radii: ε, ascending, in the units of the search.
      num_steps: T.
      step_ratio: the step in units of ``ε / T``.
      random_start: whether to start at a draw from the ball, or at the image.

    Raises:
      ValueError: radii that do not ascend, none at all, or ``num_steps < 1``.

    References:
      Madry, Makelov, Schmidt, Tsipras, Vladu. Towards Deep Learning Models Resistant to
      Adversarial Attacks. ICLR 2018, arXiv:1706.06083.
    """
    step_of = lambda radius: step_ratio * radius / num_steps
    return _pgd("pgd_l2", "l2", radii, num_steps, step_of, random_start)


def pgd_linf(
    *,
    radii: Sequence[float] = LINF_RADII,
    num_steps: int = 20,
    step_ratio: float = 2.5,
    random_start: bool = True,
) -> Member:
    """As ``pgd_l2`` with sign steps in L∞ balls: ``x ← Π(x + α sign(∇ℓ))``."""
    step_of = lambda radius: step_ratio * radius / num_steps
    return _pgd("pgd_linf", "linf", radii, num_steps, step_of, random_start)


def pgd_released(
    *, radii: Sequence[float] = RELEASED_RADII, num_steps: int = 40
) -> Member:
    """PGD as the released code of the boundary attributions runs it.

    The step meant to be ``2 ε / T`` is taken relative to ε, ``2 ε² / T``, so small radii
    are never crossed; only the last point of a path counts. What the first radius finds
    that succeeds is the answer, however far it lies behind the boundary. At most T
    gradients and one forward pass a radius; as released, every radius took them all.

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257; the released code of 2021.
    """
    step_of = lambda radius: 2 * radius**2 / num_steps
    return _pgd("pgd_released", "l2", radii, num_steps, step_of, True, last_only=True)


def _pgd(
    name: str,
    norm: str,
    radii: Sequence[float],
    num_steps: int,
    step_of: Callable[[Array], Array],
    random_start: bool,
    last_only: bool = False,
) -> Member:
    radii = check_radii(radii)
    num_steps = check_integer("num_steps", num_steps)

    def find(task: BoundaryTask) -> Best:
        evaluate = evaluator(task, scores.cross_entropy)

        def attempt(radius: Array, keys: Array | None, is_done: Array) -> Best:
            project = ball_and_box(task, radius, norm)
            path = adversarial_path(
                lambda _, points: evaluate(points),
                direction=follow_gradient(),
                move=_MOVES[norm](step_of(radius)),
                project=project,
                stop=lambda _: is_done,
            )
            start = task.images
            if random_start:
                assert keys is not None
                start = project(start + radius * _in_ball(keys, start, norm))
            return closest_on(path, task, start, num_steps, last_only=last_only)

        return over_radii(task, radii, attempt)

    count = len(radii)
    forwards, backwards = count * (num_steps + 1), count * num_steps
    return Member(name, find, forwards, backwards, needs_key=random_start)


def _in_ball(keys: Array, images: Array, norm: str) -> Array:
    """Uniform in the unit ball."""
    place = random_direction(keys, images, norm)
    if norm == "linf":
        return place
    keys = _random.fold_in(keys, 1)
    share = _random.uniform(keys, (1, 1, 1), images.dtype)
    return place * share ** (1 / math.prod(images.shape[1:]))


def at_radii(
    attack: Attack,
    *,
    radii: Sequence[float] = LINF_RADII,
    num_steps: int = 10,
    name: str = "step attack",
    gradients_per_step: int | None = None,
) -> Member:
    """Any step attack as a member of a boundary search: over L∞ radii, as ``pgd_linf``.

    Its own gradients say nothing of the class of a point, so each step costs a forward
    pass more than the attack does: at most ``T G`` gradients and ``T + 1`` forward
    passes a radius.

    Args:
      attack: an ``Attack``, such as ``ja.attacks.mi_fgsm()``.
      radii: ε, ascending.
      num_steps: T.
      name: what ``BoundaryPoint.members`` points to.
      gradients_per_step: G, if it is to be on record: 1 for ``mi_fgsm``, and with
        ``num_samples`` neighbours so many more. An attack does not know.

    Returns:
      A ``Member``, its cost None without G.
    """
    radii = check_radii(radii)
    num_steps, _ = steps_of(attack, 1.0, check_integer("num_steps", num_steps))
    forwards = backwards = None
    if gradients_per_step is not None:
        count = check_integer("gradients_per_step", gradients_per_step)
        backwards = len(radii) * num_steps * count
        forwards = backwards + len(radii) * (num_steps + 1)

    def find(task: BoundaryTask) -> Best:
        loss = scores.stacked_rows(
            scores.cross_entropy, task.logits_fn, task.source_classes
        )

        def attempt(radius: Array, keys: Array | None, is_done: Array) -> Best:
            problem = Problem(
                logits_fn=task.logits_fn,
                labels=task.source_classes,
                loss=loss,
                images=task.images,
                keys=None if keys is None else _random.fold_in(keys, num_steps),
                epsilon=radius,
                step_size=steps_of(attack, radius, num_steps)[1],
                bounds=task.bounds,
                samples_per_call=1,
            )
            path = _classified(attack_path(attack, problem), task)
            return closest_on(path, task, task.images, num_steps, keys)

        return over_radii(task, radii, attempt)

    return Member(name, find, forwards, backwards, needs_key=attack.needs_key)


def _classified(path: Path[object], task: BoundaryTask) -> Path[Evaluated]:
    """A path whose steps also classify the points where they begin."""

    def step(
        keys: Array | None, state: PathState
    ) -> tuple[PathState, PathInfo[Evaluated]]:
        classes = predicted(task, state.points)
        state, (points, _, direction, displacement) = path.step(keys, state)
        evaluated = Evaluated(direction, points[:, 0, 0, 0], classes)
        return state, PathInfo(points, evaluated, direction, displacement)

    return Path(path.init, step)
