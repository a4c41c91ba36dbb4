"""What a measure of agreement gives where there is nothing to agree on."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr._checks import check_choice, check_integer, check_key, fail
from jaxattr._loops import mean_over
from jaxattr.metrics._maps import check_maps, check_pair
from jaxattr.typing import Array

_Null = Callable[[Array], tuple[Array, Array]]


def lens_chance(
    measure: Callable[[Array, Array], Array],
    a: Array,
    b: Array,
    *,
    key: Array | None = None,
    null: str = "random",
    num_samples: int = 10,
    others: Array | None = None,
) -> Array:
    """The mean of a measure over pairs of maps that have nothing in common.

    ``1/S Σₛ m(aₛ, bₛ)``, the pairs drawn from one of three nulls:

    - ``random``: two maps of independent uniform values;
    - ``shift``: ``a``, and ``b`` shifted around the torus by a random number of rows and
      columns, not both zero: the texture of the maps is kept, their places are not;
    - ``photographs``: ``a``, and the map of another photograph: one of ``others``, or
      of the other images in the batch. Objects are in the middle of most photographs,
      and this null knows it.

    Args:
      measure: two batches of maps to ``(N,)``, such as
        ``functools.partial(ja.lens_recall, k=1000, window=3)``; any measure will do.
      a: maps ``(N, H, W)`` of the original images.
      b: maps ``(N, H, W)`` of the perturbed images.
      key: one typed key, or ``(N,)``, one an image. Needed.
      null: ``"random"``, ``"shift"`` or ``"photographs"``.
      num_samples: S, calls of the measure.
      others: maps ``(R, H, W)`` of other photographs.

    Returns:
      ``(N,)``, in units of the measure.

    Raises:
      ValueError: shapes that do not fit; no key; an unknown null; ``photographs`` with
        one image and no others.

    Example:
      >>> import functools, jax, jaxattr as ja
      >>> a = jax.random.normal(jax.random.key(0), (2, 28, 28))
      >>> measure = functools.partial(ja.lens_recall, k=100, window=3)
      >>> chance = ja.lens_chance(measure, a, a, key=jax.random.key(1))
      >>> [f"{value:.2f}" for value in chance]
      ['0.99', '0.99']

    References:
      None: a window makes scores rise by itself, and the papers give no chance level.
    """
    a, b = check_pair(a, b)
    keys = check_key(key, jnp.zeros_like(a[:, 0, 0], int))
    draw = _NULLS[check_choice("null", null, _NULLS)](a, b, _check_others(others, a))
    if null == "photographs" and others is None and a.shape[0] == 1:
        raise fail("others", "maps (R, H, W), where there is one image", others)

    def terms(index: Array) -> Array:
        return measure(*draw(_random.fold_in(keys, index[0])))[None]

    return mean_over(terms, check_integer("num_samples", num_samples))


def chance_corrected(score: Array, chance: Array) -> Array:
    """A score on the scale where chance is 0 and the best score is 1.

    ``(m - c) / (1 - c)``, Cohen's form; negative below chance.

    Args:
      score: ``(...)``, at most one.
      chance: ``(...)`` or a number, from ``lens_chance``.

    Returns:
      ``(...)``; 0 where chance is already 1 and nothing can be told.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> [f"{v:.2f}" for v in ja.chance_corrected(jnp.array([0.7, 0.3, 1.0]), 0.6)]
      ['0.25', '-0.75', '1.00']

    References:
      Cohen. A Coefficient of Agreement for Nominal Scales. Educational and
      Psychological Measurement 1960.
    """
    score = jnp.asarray(score)
    room = 1 - jnp.asarray(chance, score.dtype)
    is_open = room > 0
    corrected = (score - 1) / jnp.where(is_open, room, 1) + 1
    return jnp.where(is_open | jnp.isnan(room), corrected + 0 * room, 0)


def _random_maps(a: Array, b: Array, _: Array | None) -> _Null:
    def draw(keys: Array) -> tuple[Array, Array]:
        first, second = _random.split(keys, 2)
        shape = a.shape[1:]
        return (
            _random.uniform(first, shape, a.dtype),
            _random.uniform(second, shape, a.dtype),
        )

    return draw


def _shifted(a: Array, b: Array, _: Array | None) -> _Null:
    height, width = a.shape[1:]

    def shift(key: Array, b: Array) -> Array:
        # Place 0 is no shift at all.
        place = jax.random.randint(key, (), min(1, height * width - 1), height * width)
        down = jnp.roll(b, place // width, axis=0)
        return jnp.roll(down, place % width, axis=1)

    return lambda keys: (a, jax.vmap(shift)(keys, b))


def _of_others(a: Array, b: Array, others: Array | None) -> _Null:
    num_maps = a.shape[0]

    def from_batch(key: Array, own: Array) -> Array:
        offset = jax.random.randint(key, (), 1, max(2, num_maps))
        return b[(own + offset) % num_maps]

    if others is not None:
        return lambda keys: (a, _random.choice(keys, others))
    index = jnp.arange(num_maps)
    return lambda keys: (a, jax.vmap(from_batch)(keys, index))


_NULLS = {"random": _random_maps, "shift": _shifted, "photographs": _of_others}


def _check_others(others: Array | None, a: Array) -> Array | None:
    if others is None:
        return None
    others = check_maps(others, "others")
    if others.shape[1:] != a.shape[1:] or others.dtype != a.dtype:
        raise fail("others", f"{a.dtype} maps (R,) + {a.shape[1:]}", others)
    return others
