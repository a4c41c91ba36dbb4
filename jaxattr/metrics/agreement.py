"""How far two maps of one image agree: sets of top pixels, rank correlations."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr._checks import fail
from jaxattr._loops import by_image_batches
from jaxattr._numerics.rankings import count_smaller_and_equal, sort_pairs, top_k_mask
from jaxattr.metrics import inversions
from jaxattr.metrics._maps import check_k, check_pair, nan_where_nan
from jaxattr.typing import Array


def top_k_intersection(a: Array, b: Array, *, k: int) -> Array:
    """The share of the k largest pixels that two maps have in common.

    ``|Sₖ(a) ∩ Sₖ(b)| / k``, Sₖ the k largest values as they are, signs included; take
    ``pixel_magnitudes`` first where size is meant. Ties go to the first in row-major
    order, so a map that is constant around its k-th value says little.

    Args:
      a: maps ``(N, H, W)``.
      b: maps ``(N, H, W)``.
      k: how many pixels, at most ``H·W``.

    Returns:
      ``(N,)`` in [0, 1]; NaN where a map holds a NaN. Independent random maps reach
      ``k / (H·W)``; see ``lens_chance``.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape; k not in range.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[4.0, 3.0], [2.0, 1.0]]])
      >>> b = jnp.array([[[4.0, 1.0], [3.0, 2.0]]])
      >>> ja.top_k_intersection(a, b, k=2)
      Array([0.5], dtype=float32)

    References:
      Ghorbani, Abid, Zou. Interpretation of Neural Networks Is Fragile. AAAI 2019,
      arXiv:1710.10547.
    """
    a, b = check_pair(a, b)
    k = check_k(k, a)
    both = top_k_mask(_flat(a), k) & top_k_mask(_flat(b), k)
    return nan_where_nan(jnp.sum(both, axis=1).astype(a.dtype) / k, a, b)


def spearman(a: Array, b: Array) -> Array:
    """Spearman's ρ: the correlation of the ranks of all pixels.

    ``ρ = Σ (rᵢ - r̄)(sᵢ - s̄) / √(Σ (rᵢ - r̄)² Σ (sᵢ - s̄)²)``, r and s the ranks in either
    map, equal values sharing their average rank.

    Args:
      a: maps ``(N, H, W)``.
      b: maps ``(N, H, W)``.

    Returns:
      ``(N,)`` in [-1, 1]. 0 where a map is constant, which orders nothing (the quotient
      is undefined); NaN where a map holds a NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
      >>> ja.spearman(a, a[:, ::-1])
      Array([-0.6], dtype=float32)

    References:
      Spearman. The Proof and Measurement of Association between Two Things. American
      Journal of Psychology 1904.
    """
    a, b = check_pair(a, b)

    def centred_ranks(values: Array) -> Array:
        smaller, equal = count_smaller_and_equal(values)
        # Twice the average rank minus the mean: exact in integers, then scaled to [-1, 1].
        twice = 2 * smaller + equal - values.size
        return twice.astype(values.dtype) / values.size

    def correlation(a: Array, b: Array) -> Array:
        r, s = centred_ranks(a), centred_ranks(b)
        # Products accumulate many equal values: a plain sum would lose digits.
        dot = functools.partial(jnp.vdot, precision="highest")
        return _ratio(dot(r, s), dot(r, r), dot(s, s))

    return _per_image(correlation, a, b)


def kendall(a: Array, b: Array) -> Array:
    """Kendall's τ-b: pixel pairs ordered alike minus pairs ordered oppositely.

    ``τ = (P - Q) / √((n₀ - n₁)(n₀ - n₂))`` with ``n₀ = n (n - 1) / 2`` pairs, P of them
    concordant and Q discordant, n₁ tied in a and n₂ in b. Counted exactly, by sorting,
    in ``O(n log n)`` time and ``O(n)`` memory, an image at a time.

    Args:
      a: maps ``(N, H, W)``.
      b: maps ``(N, H, W)``.

    Returns:
      ``(N,)`` in [-1, 1]. 0 where a map is constant, which orders nothing (the quotient
      is undefined); NaN where a map holds a NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape, or that have more
        than ``2^19`` pixels.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
      >>> b = jnp.array([[[1.0, 3.0], [2.0, 4.0]]])
      >>> [f"{value:.4f}" for value in ja.kendall(a, b)]
      ['0.6667']

    References:
      Kendall. The Treatment of Ties in Ranking Problems. Biometrika 1945.
      Knight. A Computer Method for Calculating Kendall's Tau with Ungrouped Data.
      Journal of the American Statistical Association 1966.
    """
    a, b = check_pair(a, b)
    if a.shape[1] * a.shape[2] > inversions.MAX_LENGTH:
        raise fail("a", f"maps of at most {inversions.MAX_LENGTH} pixels", a)

    def tau(a: Array, b: Array) -> Array:
        in_a, in_b = (count_smaller_and_equal(v)[0] for v in (a, b))
        ordered_a, ordered_b = sort_pairs(in_a, in_b)
        place = jnp.arange(a.size, dtype=jnp.int32)
        # Pairs tied in b are in order, so what is out of order is discordant.
        _, permutation = sort_pairs(ordered_b, place)
        discordant = inversions.count_inversions(permutation)
        is_new = (jnp.diff(ordered_a) != 0) | (jnp.diff(ordered_b) != 0)
        first = jnp.where(jnp.concatenate([jnp.ones(1, bool), is_new]), place, 0)
        # Σ of how many come strictly before: the pairs that are not tied.
        untied_a, untied_b, untied = (
            inversions.total(v) for v in (in_a, in_b, jax.lax.cummax(first))
        )
        # P - Q = (n₀ - n₁) + (n₀ - n₂) - (n₀ - n₃) - 2 Q, n₃ tied in both.
        difference = inversions.carry(untied_a + untied_b - untied - 2 * discordant)
        return _ratio(
            *(inversions.as_float(v, a.dtype) for v in (difference, untied_a, untied_b))
        )

    return _per_image(tau, a, b)


def _ratio(product: Array, square_a: Array, square_b: Array) -> Array:
    """``product / √(square_a square_b)``, 0 where a map orders nothing."""
    orders = (square_a > 0) & (square_b > 0)
    roots = jnp.sqrt(jnp.where(orders, square_a, 1)) * jnp.sqrt(
        jnp.where(orders, square_b, 1)
    )
    return jnp.where(orders, jnp.clip(product / roots, -1, 1), 0)


def _per_image(metric: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """A metric of flat maps ``(P,)``, an image at a time: memory of one image."""
    results = by_image_batches(
        lambda _, a, b: jax.vmap(metric)(a, b), 1, _flat(a), _flat(b)
    )
    return nan_where_nan(results, a, b)


def _flat(maps: Array) -> Array:
    return maps.reshape(maps.shape[0], -1)
