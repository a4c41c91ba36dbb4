"""ISA: rounds that remove the values which matter least to what is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxattr import _random, scores
from jaxattr._checks import check_integer, check_key, check_number, check_task, fail
from jaxattr._loops import by_image_batches
from jaxattr._numerics import norms
from jaxattr._numerics.rankings import top_k_mask
from jaxattr.paths import PathInfo, adversarial_path, fold_path
from jaxattr.perturbations import gaussian
from jaxattr.steps import sign_step
from jaxattr.typing import Array, LogitsFn, Scalar, ScoreFn

_AXES = (1, 2, 3)


def isa(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    values_per_round: int = 5000,
    num_ascent_steps: int = 8,
    num_descent_steps: int = 8,
    step_size: Scalar = 0.004,
    factor: Scalar = 1.3,
    penalty: Scalar = 0.01,
    stddev: Scalar = 0.05,
    softmax_stack: int = 1,
) -> Array:
    """Iterative search attribution.

    Round r looks at ``x ⊙ m``, m the values that are left, all of them at first. With the
    cross-entropy L at a noisy copy, ``J = L(z + σ ξ) - s λ ‖z‖₂``, it takes T steps up
    (s = 1) and T down (s = -1) from there::

        z ← z + s α sign(g)       g = ∂J/∂z (s = 1)  or  m ⊙ ∂J/∂z (s = -1)
        S_s = Σₜ α |g|            w_s = s (J at the last step - J at the first)

    and ranks what is left by ``|(S + min S) ⊙ x|``, ``S = S₊/w₊ + S₋/w₋``. The
    ``values_per_round`` least important are removed and have, in the map, the number of
    their round plus their rank value, scaled to between 0 and ``factor``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``; points on the way are not clipped.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call; the steps follow one another, so a
        call never takes more than N.
      values_per_round: how many of the ``H·W·C`` values a round removes.
      num_ascent_steps: T of the steps up, 0 for none, else at least 2: the change of J
        over them is what they are divided by. Each is one gradient, in every round.
      num_descent_steps: T of the steps down, alike.
      step_size: α in pixel units.
      factor: how far the values of a round reach into the next, at 1 not at all.
      penalty: λ.
      stddev: σ in pixel units.
      softmax_stack: how many softmaxes stand before the logarithm: 1 is the cross-entropy
        of the logits, 2 that of a model that ends in one, as in the released script.

    Returns:
      ``(N, H, W, C)``, at least zero and without a unit: an order of the values, the last
      that were removed the highest. It has no derivative. NaN for an image whose J did not
      change over the steps at all, or is NaN.

    Raises:
      ValueError: as ``smoothgrad``; one step, or none in both directions; fewer than one
        value a round.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: 4 * jnp.mean(x, axis=(1, 2))
      >>> image = jnp.array([0.6, 0.5, 0.1]).reshape(1, 1, 1, 3)
      >>> ja.isa(
      ...     logits_fn, image, jnp.array([0]), key=jax.random.key(0),
      ...     values_per_round=1, stddev=0.0,
      ... ).ravel()
      Array([2., 1., 0.], dtype=float32)

    References:
      Zhu et al. Iterative Search Attribution for Deep Neural Networks.
      ICML 2024, whose released code was followed, ``S + min S`` and steps up that also
      move what was removed among it. It ranks a batch of one only, and leaves the last,
      most important ``H·W·C mod values_per_round`` values at zero; here they are the last
      round.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    keys = check_key(key, labels)
    rounds = _Rounds(
        check_integer("values_per_round", values_per_round),
        _check_steps("num_ascent_steps", num_ascent_steps),
        _check_steps("num_descent_steps", num_descent_steps),
        check_number("step_size", step_size, 0.0),
        check_number("factor", factor, 0.0),
        check_number("penalty", penalty, 0.0),
        check_number("stddev", stddev, 0.0),
    )
    if num_ascent_steps == num_descent_steps == 0:
        raise fail("num_descent_steps", "steps in one direction at least", 0)
    softmax_stack = check_integer("softmax_stack", softmax_stack)
    model = scores.repeated_softmax(logits_fn, softmax_stack - 1)

    def explain(_: int, images: Array, labels: Array, keys: Array) -> Array:
        return _remove(scores.cross_entropy(model, labels), images, keys, rounds)

    return by_image_batches(explain, batch_size, images, labels, keys)


class _Rounds(NamedTuple):
    """The options of ``isa`` that its rounds need."""

    values_per_round: int
    num_ascent_steps: int
    num_descent_steps: int
    step_size: Scalar
    factor: Scalar
    penalty: Scalar
    stddev: Scalar


def _remove(loss: ScoreFn, images: Array, keys: Array, rounds: _Rounds) -> Array:
    """The map: a scan over rounds, each of which removes the least important values."""
    size = math.prod(images.shape[1:])
    num_rounds = -(-size // rounds.values_per_round)

    def one_round(
        carry: tuple[Array, Array], index: Array
    ) -> tuple[tuple[Array, Array], None]:
        left, maps = carry
        total = _importance(loss, images, left, _random.fold_in(keys, index), rounds)
        lowest = jnp.min(total, axis=_AXES, keepdims=True)
        order = jnp.abs((total + lowest) * images)
        # Of what is left the lowest; what was removed before is not taken again.
        lowest_first = jnp.where(left, -order, -jnp.inf).reshape(len(images), -1)
        taken = top_k_mask(lowest_first, min(rounds.values_per_round, size))
        removed = left & taken.reshape(images.shape)
        low = jnp.min(order, _AXES, keepdims=True, where=removed, initial=jnp.inf)
        high = jnp.max(order, _AXES, keepdims=True, where=removed, initial=-jnp.inf)
        share = (order - low) / (high - low + 1e-6) * rounds.factor
        values = index.astype(images.dtype) + share
        maps = jnp.where(removed, values, maps)
        # An order of values that are not finite is none.
        is_order = jnp.isfinite(order).all(axis=_AXES, keepdims=True)
        maps = jnp.where(is_order, maps, jnp.nan)
        return (left & ~removed, maps), None

    start = (jnp.isfinite(jnp.zeros_like(images)), jnp.zeros_like(images))
    return jax.lax.scan(one_round, start, jnp.arange(num_rounds))[0][1]


def _importance(
    loss: ScoreFn, images: Array, left: Array, keys: Array, rounds: _Rounds
) -> Array:
    """``S = S₊/w₊ + S₋/w₋`` of what is left, ``(N, H, W, C)``."""
    points = jnp.where(left, images, 0)
    total = jnp.zeros_like(images)
    for sign, num_steps, side in zip(
        (1, -1),
        (rounds.num_ascent_steps, rounds.num_descent_steps),
        _random.split(keys, 2),
        strict=True,
    ):
        if num_steps:
            mask = None if sign > 0 else left
            objective = _objective(loss, sign, rounds)
            total += _search(
                objective, points, mask, side, sign * rounds.step_size, num_steps
            )
    return total


_Sizes = tuple[Array, Array, Array, Array]
"""``Σ |g|``, the first and the last value, and whether none has been seen yet."""

Objective = Callable[[Array, Array], Array]
"""Keys ``(N,)`` and points ``(N, H, W, C)`` to ``(N,)``."""


def _objective(loss: ScoreFn, sign: int, rounds: _Rounds) -> Objective:
    """``L(z + σ ξ) - s λ ‖z‖₂``."""

    def objective(keys: Array, points: Array) -> Array:
        noisy = gaussian(rounds.stddev)(points)(keys)
        return loss(noisy) - sign * rounds.penalty * norms.norm(points, _AXES)

    return objective


def _search(
    objective: Objective,
    points: Array,
    mask: Array | None,
    keys: Array,
    step_size: Scalar,
    num_steps: int,
) -> Array:
    """``Σₜ α |g| / w`` along steps of the sign of the gradient."""

    def gradient_fn(keys: Array, points: Array) -> tuple[Array, Array]:
        values, pullback = jax.vjp(lambda z: objective(keys, z), points)
        (slope,) = pullback(jnp.ones_like(values))
        return (slope if mask is None else jnp.where(mask, slope, 0)), values

    path = adversarial_path(
        gradient_fn,
        direction=optax.stateless(lambda pair, _: pair[0]),
        move=sign_step(step_size),
        project=lambda points: points,
    )

    def add(total: _Sizes, info: PathInfo[tuple[Array, Array]]) -> _Sizes:
        sizes, first, _, is_first = total
        value = info.gradient[1]
        sizes = sizes + jnp.abs(info.direction)
        return sizes, jnp.where(is_first, value, first), value, is_first & False

    zero = jnp.zeros_like(points[:, 0, 0, 0])
    start = (jnp.zeros_like(points), zero, zero, zero == 0)
    _, (sizes, first, last, _) = fold_path(path, points, keys, num_steps, start, add)
    weight = jnp.sign(step_size) * (last - first)
    return jnp.abs(step_size) * sizes / weight[:, None, None, None]


def _check_steps(name: str, value: int) -> int:
    number = check_integer(name, value, 0)
    if number == 1:
        raise fail(name, "0 or at least 2: their change of the loss is a divisor", 1)
    return number
