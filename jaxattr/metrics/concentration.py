"""How few pixels a map lives on: the Gini index and the entropy of its values."""

from __future__ import annotations

import jax.numpy as jnp
import jax.scipy as jsp

from jaxattr._numerics import norms
from jaxattr.metrics._maps import check_maps, nan_where_nan
from jaxattr.typing import Array


def sparseness(maps: Array) -> Array:
    """The Gini index of the sizes of a map's values.

    ``G = Σᵢ (2i - n - 1) a₍ᵢ₎ / (n Σᵢ aᵢ)``, ``a₍₁₎ ≤ … ≤ a₍ₙ₎`` the sizes ``|A|`` of the n
    values in ascending order. 0 where all are alike, ``1 - 1/n`` where one pixel has all.
    Higher is sparser, which is counted as better.

    Args:
      maps: ``(N, H, W)``; take ``pixel_magnitudes`` of an attribution with channels.

    Returns:
      ``(N,)`` in ``[0, 1 - 1/n]``; NaN for a map of zeros, or that holds a NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.sparseness(jnp.array([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, -2.0]]]))
      Array([0.  , 0.75], dtype=float32)

    References:
      Chalasani, Chen, Chowdhury, Jha, Wu. Concise Explanations of Neural Networks using
      Adversarial Training. ICML 2020, arXiv:1810.06583.
    """
    maps = check_maps(maps, "maps")
    shares = jnp.sort(_shares(maps), axis=1)
    n = shares.shape[1]
    # Twice the rank less the mean of all such, over n: between -1 and 1.
    weights = (2 * jnp.arange(1, n + 1) - n - 1).astype(shares.dtype) / n
    return nan_where_nan(jnp.sum(weights[None] * shares, axis=1), maps)


def complexity(maps: Array) -> Array:
    """The entropy of the shares that pixels have of a map, in nats.

    ``H = -Σᵢ pᵢ log pᵢ`` with ``pᵢ = |Aᵢ| / Σⱼ |Aⱼ|``. 0 where one pixel has all, ``log n``
    where all n are alike. Lower is simpler, which is counted as better.

    Args:
      maps: ``(N, H, W)``; take ``pixel_magnitudes`` of an attribution with channels.

    Returns:
      ``(N,)`` in ``[0, log n]``; NaN for a map of zeros, or that holds a NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> maps = jnp.array([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, -2.0]]])
      >>> [f"{value:.4f}" for value in ja.complexity(maps)]
      ['1.3863', '0.0000']

    References:
      Bhatt, Weller, Moura. Evaluating and Aggregating Feature-based Model Explanations.
      IJCAI 2020, arXiv:2005.00631.
    """
    maps = check_maps(maps, "maps")
    entropy = jnp.sum(jsp.special.entr(_shares(maps)), axis=1)
    return nan_where_nan(entropy, maps)


def _shares(maps: Array) -> Array:
    """``(N, P)`` sizes that sum to one; NaN where there are none."""
    flat = maps.reshape(len(maps), -1)
    sizes = jnp.abs(flat / norms.scale_of(flat, 1))
    return sizes / jnp.sum(sizes, axis=1, keepdims=True)
