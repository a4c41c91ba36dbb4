"""Running an attack on the prediction, by name or as an assembly of one's own."""

from __future__ import annotations

from typing import NamedTuple

from jaxattr import _random, scores
from jaxattr._checks import (
    check_bounds,
    check_integer,
    check_key,
    check_number,
    check_task,
)
from jaxattr._loops import by_image_batches
from jaxattr._numerics import norms
from jaxattr.attacks.attack import (
    Attack,
    Problem,
    attack_path,
    check_score,
    steps_of,
)
from jaxattr.attacks.registry import as_attack
from jaxattr.paths import follow_path
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score


class AttackResult(NamedTuple):
    """Where an attack ended."""

    images: Array
    """``(N, H, W, C)``, within the ball and the bounds."""
    success: Array
    """``(N,)`` bool: the model predicts another class. Not where a logit is NaN, and not
    for a label that is no class."""
    distances: Array
    """``(N,)``: Euclidean distances from the images, in pixel units."""


def run(
    attack: str | Attack,
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    epsilon: Scalar = 16 / 255,
    num_steps: int = 10,
    step_size: Scalar | None = None,
    bounds: Bounds = (0.0, 1.0),
    score: Score | str = scores.cross_entropy,
    batch_size: int | None = None,
) -> AttackResult:
    """Moves images within a small ball so that a score rises.

    ``x ← Π(x + α sign(d))``, d the direction that the attack makes of gradients of the
    score, Π the projection onto the L∞ ball of radius ε around the image and onto the
    bounds.

    Args:
      attack: one of ``names()``, or an ``Attack`` such as ``ja.attacks.gra(beta=2.0)``.
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``, the true classes.
      key: one typed key, or ``(N,)``, one an image; for attacks that draw.
      epsilon: ε in pixel units.
      num_steps: T; ``fgsm`` takes one step whatever it is.
      step_size: α in pixel units; by default the attack's own rule, mostly ``ε / T``.
      bounds: the least and the largest pixel value.
      score: what rises; see ``jaxattr.scores``. ``mig`` and ``naa`` lower the label's
        own evidence and take no other.
      batch_size: the most model rows in one call.

    Returns:
      An ``AttackResult``. An image whose attack fails is returned as moved.

    Raises:
      ValueError: an unknown attack, shapes that do not fit, no key where one is needed,
        ``naa`` by name and a model without ``features`` and ``head``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.5, 0.4, 0.3]).reshape(1, 1, 1, 3)
      >>> found = ja.attacks.run("fgsm", logits_fn, image, jnp.array([0]), epsilon=0.1)
      >>> bool(found.success[0]), [f"{value:.1f}" for value in found.images.ravel()]
      (True, ['0.4', '0.5', '0.4'])
    """
    bounds = check_bounds(bounds)
    logits_fn, images, labels = check_task(
        logits_fn, images, labels, bounds=bounds, finite=False
    )
    score = scores.as_score(score)
    attack = as_attack(attack)
    check_score(attack, score)
    num_steps = check_integer("num_steps", num_steps)
    epsilon = check_number("epsilon", epsilon, 0.0)
    num_steps, step_size = steps_of(attack, epsilon, num_steps, step_size)
    step_size = check_number("step_size", step_size, 0.0)
    keys = check_key(key, labels) if attack.needs_key else None

    def attacked(
        samples_per_call: int, images: Array, labels: Array, keys: Array | None
    ) -> AttackResult:
        problem = Problem(
            logits_fn=logits_fn,
            labels=labels,
            loss=scores.stacked_rows(score, logits_fn, labels),
            images=images,
            # Steps fold theirs with 0 .. T-1.
            keys=None if keys is None else _random.fold_in(keys, num_steps),
            epsilon=epsilon,
            step_size=step_size,
            bounds=bounds,
            samples_per_call=samples_per_call,
        )
        path = attack_path(attack, problem)
        points = follow_path(path, images, keys, num_steps=num_steps)
        success = scores.misclassified(logits_fn(points), labels)
        distances = norms.norm(points - images, (1, 2, 3))
        return AttackResult(points, success, distances)

    return by_image_batches(attacked, batch_size, images, labels, keys)
