"""Uniformly smoothed maps, and a certificate on their cosine within a radius."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxattr import _random
from jaxattr._checks import (
    check_images,
    check_integer,
    check_key,
    check_number,
    check_values,
    fail,
)
from jaxattr._loops import mean_over
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.certificates.confidence import mean_from_below
from jaxattr.certificates.overlap import share_left
from jaxattr.perturbations import uniform_ball
from jaxattr.typing import Array


class Certificate(NamedTuple):
    """Smoothed maps and what is proved of them; see ``certified_cosine``."""

    maps: Array
    """``(N, H, W, C)``: the mean of the unit maps that were drawn."""
    lower_bound: Array
    """``(N,)`` in [-1, 1]: the least cosine within the radius; -1 where none is proved."""


def certified_cosine(
    explain_fn: Callable[[Array], Array],
    images: Array,
    *,
    key: Array | None = None,
    smoothing_radius: float,
    attack_radius: float,
    num_samples: int,
    alpha: float = 0.001,
) -> Certificate:
    """A bound on how far any small change can turn a uniformly smoothed map.

    The smoothed map is ``h(x) = E g(x + u)``, g the map divided by its Euclidean norm, u
    uniform in the Euclidean ball of radius r. With a confidence of 1 - α, image by image::

        cos(h(x), h(x + δ)) ≥ lower_bound   for all δ with ‖δ‖₂ ≤ ε

    Balls around x and x + δ share all but the part q of their volume, known exactly; what g
    is on the rest is not known, but its norm is at most one. So ``h = m + q a`` and
    ``h' = m + q b`` with ``‖m‖ ≤ 1 - q`` and ``‖a‖, ‖b‖ ≤ 1``, and the largest angle
    between the two is known in closed form (``cosine_bound``) once ``‖h‖`` is bounded from
    below. That bound is where sampling comes in: the first quarter of the samples gives a
    direction v, the rest the mean of ``⟨g, v⟩``, at most ``‖h‖`` whatever v is, and
    Hoeffding's inequality its confidence.

    The certificate is on h itself, the limit of many samples. Two averages of samples
    differ from it, and from each other, by some ``1/√num_samples`` of the norm of h.

    Args:
      explain_fn: images ``(N, H, W, C)`` to maps ``(N, H, W, C)`` or ``(N, H, W)``, any
        function, known or not; only ever called with exactly the N images, in order. It
        must explain the same class throughout: if it takes the predicted one, that is part
        of what is smoothed.
      images: float ``(N, H, W, C)``. Noisy images are not clipped.
      key: one typed key, or ``(N,)``, one an image. Needed.
      smoothing_radius: r, the Euclidean norm in pixel units, above 0. Of D values of an
        image, ε of about ``r/√D`` can be certified.
      attack_radius: ε, at least 0, in the same unit.
      num_samples: explanations an image.
      alpha: α, how often a certificate of an image may be wrong by bad luck in the draws.

    Returns:
      A ``Certificate``: ``maps``, the mean of the unit maps, and ``lower_bound`` ``(N,)``,
      -1 where nothing is proved and NaN where a map was NaN. Of a map of zeros g is zero.

    Raises:
      ValueError: images of another shape, or NaN; no key; maps of another number of images;
        a radius or α out of range; too few samples to prove anything at this α (the
        message says how many it takes).

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.full((1, 2, 2, 1), 0.5)
      >>> found = ja.certified_cosine(
      ...     lambda x: x, images, key=jax.random.key(0),
      ...     smoothing_radius=0.3, attack_radius=0.03, num_samples=1000,
      ... )
      >>> found.maps.shape, bool(found.lower_bound[0] > 0.98)
      ((1, 2, 2, 1), True)

    References:
      Wang, Kong. Certified L2 Attribution Robustness via Uniformly Smoothed Attributions.
      2024, arXiv:2405.06361. There the bound is ``‖h‖ / √(‖h‖² + (M V / V_S)²)`` with the
      volume V that the balls do not share; read with both parts of it, ``2 q``, that is
      the tangent of an angle whose sine it is in the worst case, and there are maps that
      break it. Nor does it count the error of a sampled ``‖h‖``. Here both are mended; the
      closed form is reached by some g.
    """
    images = widen(check_images(images))
    check_values(images)
    keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int))
    radius = _check_static("smoothing_radius", smoothing_radius)
    if radius == 0:
        raise fail("smoothing_radius", "a number above 0", smoothing_radius)
    share = share_left(
        math.prod(images.shape[1:]),
        _check_static("attack_radius", attack_radius) / radius,
    )
    alpha = check_alpha(alpha)
    num_samples = check_integer("num_samples", num_samples)
    num_first = max(1, num_samples // 4)
    num_rest = num_samples - num_first
    if num_rest * math.log(2) <= math.log(1 / alpha):
        least = _least_samples(alpha)
        expected = f"at least {least}, with fewer nothing is proved at alpha={alpha:g}"
        raise fail("num_samples", expected, num_samples)
    draw = uniform_ball(radius)(images)

    def unit_maps(index: Array) -> Array:
        maps = explain_fn(draw(_random.fold_in(keys, index))[0])
        if maps.ndim < 2 or len(maps) != len(images):
            raise fail("explain_fn", f"maps ({len(images)}, H, W, C)", maps)
        maps = widen(maps)
        return norms.unit(maps, tuple(range(1, maps.ndim)))[None]

    first = mean_over(unit_maps, num_first)
    axes = tuple(range(1, first.ndim))
    direction = norms.unit(first, axes)

    def terms(index: Array) -> tuple[Array, Array]:
        maps = unit_maps(index + num_first)
        return maps, jnp.sum(maps * direction[None], [a + 1 for a in axes])

    rest, cosine = mean_over(terms, num_rest)
    # In [-1, 1], as a share of [0, 1] and back.
    length = 2 * mean_from_below((1 + cosine) / 2, num_rest, alpha) - 1
    maps = (num_first * first + num_rest * rest) / num_samples
    return Certificate(maps, cosine_bound(length, share))


def cosine_bound(length: Array, share: float) -> Array:
    """The least cosine of ``h = m + q a`` and ``h' = m + q b``.

    Of all ``‖m‖ ≤ 1 - q``, ``‖a‖, ‖b‖ ≤ 1`` and ``‖h‖ ≥ L``. Where m is free the best that
    a and b can do is to turn m as far as they do h', ``sin θ = 2q / L``; else ``‖m‖`` is
    ``1 - q``, and ``θ = arccos((L² + ‖m‖² - q²) / (2 L ‖m‖)) + arcsin(q / ‖m‖)``.

    Args:
      length: L, any shape, a lower bound of the norm of h, at most one.
      share: q in [0, 1], see ``share_left``.

    Returns:
      The least cosine, -1 where ``L ≤ 2q``, as then h' may be zero; rounded down.

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{c:.3f}" for c in cosine_bound(jnp.array([1.0, 0.5, 0.1]), 0.1)]
      ['0.994', '0.917', '-1.000']
    """
    rounding = 16 * jnp.finfo(length.dtype).eps
    length = jnp.minimum(length, 1)
    proved = length > 2 * share
    safe = jnp.where(proved, length, 1.0 if share < 0.5 else 4.0)
    free = jnp.sqrt(jnp.maximum(1 - (2 * share / safe) ** 2, 0))
    middle = max(1 - share, share)
    # 1 - cos of the angle between h and m, without cancellation.
    versine = jnp.maximum(
        (share - (safe - middle)) * (share + (safe - middle)) / (2 * safe * middle), 0
    )
    sine_of_m = jnp.sqrt(versine * jnp.maximum(2 - versine, 0))
    ratio = share / middle
    held = (1 - versine) * math.sqrt(max(0.0, 1 - ratio**2)) - sine_of_m * ratio
    is_free = safe**2 - 3 * share**2 <= middle**2
    bound = jnp.where(proved, jnp.where(is_free, free, held), -1) - rounding
    return jnp.where(jnp.isnan(length), jnp.nan, jnp.maximum(bound, -1))


def check_alpha(alpha: float) -> float:
    """α as a number strictly between 0 and 1."""
    alpha = _check_static("alpha", alpha)
    if not 0 < alpha < 1:
        raise fail("alpha", "a number between 0 and 1, neither of them", alpha)
    return alpha


def _check_static(name: str, value: float) -> float:
    """A number that is known: what is proved is computed before anything is traced."""
    number = check_number(name, value, 0.0)
    if not isinstance(number, float) or not math.isfinite(number):
        raise fail(name, "a finite number, not one that is traced", value)
    return number


def _least_samples(alpha: float) -> int:
    """Of which three quarters, all in one direction, prove a norm above zero."""
    num = 2
    while (num - max(1, num // 4)) * math.log(2) <= math.log(1 / alpha):
        num += 1
    return num
