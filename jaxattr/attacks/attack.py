"""What an attack is: a few slots of an adversarial path."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import optax

from jaxattr import _random, projections
from jaxattr.paths import Path, PathState, adversarial_path
from jaxattr.scores import cross_entropy
from jaxattr.steps import sign_step
from jaxattr.typing import Array, Bounds, GradientFn, LogitsFn, Scalar, Score, ScoreFn


class Problem(NamedTuple):
    """What an attack is asked to do, in the terms that its parts need."""

    logits_fn: LogitsFn
    labels: Array
    """``(N,)``."""
    loss: ScoreFn
    """Points ``(N, H, W, C)`` or ``(S, N, H, W, C)`` to a number each: what rises."""
    images: Array
    """``(N, H, W, C)``: where the path starts and the centre of the ball."""
    keys: Array | None
    """``(N,)``, for draws made once a path; steps have their own."""
    epsilon: Scalar
    """The radius of the ball in pixel units."""
    step_size: Scalar
    """Of a step, in pixel units, with its sign: negative to descend the loss."""
    bounds: Bounds
    """The least and the largest pixel value."""
    samples_per_call: int
    """How many random copies may share a model call."""


def _sign_step(problem: Problem) -> optax.GradientTransformation:
    return sign_step(problem.step_size)


class Attack(NamedTuple):
    """A provider of directions: what drives the path and how it is followed.

    Every direction is one in which the loss rises; a path that descends the loss has a
    negative step. A move that keeps the sign of its direction, pixel by pixel, makes the
    maps of ``attexplore_pp`` along the path non-negative. Numbers in it are Python
    numbers, not traced ones.
    """

    gradient: Callable[[Problem], GradientFn]
    """What is followed: the gradient at the point, or averaged around it."""
    direction: optax.GradientTransformation = optax.identity()
    """From the gradient to the direction: combination, smoothing, momentum.

    Not to be confused with the explainers' option of that name, which says whether a
    path ascends or descends the loss; see ``Problem.step_size``.
    """
    move: Callable[[Problem], optax.GradientTransformation] = _sign_step
    """From the direction to the displacement, of a signed size ``problem.step_size``."""
    nesterov: float = 0.0
    """The gradient is taken this many steps ahead along the last direction."""
    step_ratio: float = 1.0
    """The size of a step where none is named, in units of ``ε / T``."""
    needs_key: bool = True
    """Draws at random."""
    random_start: bool = False
    """Begins at a uniform draw from the ball."""
    single_step: bool = False
    """One step, whatever the number asked for."""
    follows_score: bool = True
    """Takes gradients of the loss, and not of something of its own."""


def steps_of(
    attack: Attack, epsilon: Scalar, num_steps: int, step_size: Scalar | None = None
) -> tuple[int, Scalar]:
    """How many steps, and of what unsigned size: the attack's own if none is named."""
    num_steps = 1 if attack.single_step else num_steps
    if step_size is None:
        step_size = attack.step_ratio * epsilon / num_steps
    return num_steps, step_size


def check_score(attack: Attack, score: Score) -> None:
    """Refuses a score that the attack would not look at."""
    if not (attack.follows_score or score is cross_entropy):
        raise ValueError(
            "score: this attack lowers the label's own evidence and follows no other "
            "score; leave score as it is, or name another attack"
        )


def attack_path(attack: Attack, problem: Problem) -> Path[object]:
    """The attack's path within the L∞ ball around the images and within the bounds."""
    images, epsilon, bounds = problem.images, problem.epsilon, problem.bounds
    project = projections.linf_ball_and_box(images, epsilon, bounds)
    path = adversarial_path(
        attack.gradient(problem),
        direction=attack.direction,
        move=attack.move(problem),
        project=project,
        look_ahead=attack.nesterov * problem.step_size if attack.nesterov else None,
    )
    if not attack.random_start:
        return path

    def start(images: Array) -> PathState:
        assert problem.keys is not None
        shape, dtype = images.shape[1:], images.dtype
        noise = _random.uniform(problem.keys, shape, dtype, -1.0, 1.0)
        return path.init(project(images + epsilon * noise))

    return path._replace(init=start)
