"""What a vector of band importances says: its distribution, and one score."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxattr._checks import check_number, fail
from jaxattr.scores import widen
from jaxattr.typing import Array, Scalar


def spectral_distribution(values: Array) -> Array:
    """Importances shifted to a smallest of zero and scaled to a sum of one.

    ``SIDᵢ = (φᵢ - min φ) / Σ_k (φ_k - min φ)``; uniform where all are equal.

    Args:
      values: ``(..., M)``, in any unit.

    Returns:
      ``(..., M)``, non-negative, summing to one; the least important band has zero.

    Raises:
      ValueError: not a float array.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.spectral_distribution(jnp.array([2.0, 1.0, 0.0, 1.0])).tolist()
      [0.5, 0.25, 0.0, 0.25]
      >>> ja.spectral_distribution(jnp.array([3.0, 3.0])).tolist()
      [0.5, 0.5]

    References:
      Luo, McDermott, O'Riordan. I-ASIDE. TMLR 2024, arXiv:2408.01139.
    """
    values = _check_bands("values", values)
    above = values - jnp.min(values, axis=-1, keepdims=True)
    return _normalized(above)


def spectral_score(
    distribution: Array, *, beta: Scalar = 0.75, signed: bool = False
) -> Array:
    """How far a distribution leans to low frequencies: one number a model.

    With ``b = (1, β, β², ...)`` and ``η = ‖b‖₁ / (M ‖b‖₂)``, what a uniform
    distribution p gives: ``|⟨b, p⟩ / ‖b‖₂ - η| / |1 - η|``.

    Args:
      distribution: ``(..., M)``, non-negative; scaled to a sum of one.
      beta: β, between 0 and 1.
      signed: without the outer absolute value: above zero for low frequencies, below
        for high ones. The unsigned score, as released, cannot tell them apart.

    Returns:
      ``(...)``, without unit; 0 for the uniform distribution. The largest, all on
      band 0, is below one: 0.42, 0.52 and 0.60 for 4, 8 and 16 bands.

    Raises:
      ValueError: not a float array with at least two bands; β outside [0, 1].

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> low, high = jnp.eye(4)[0], jnp.eye(4)[3]
      >>> [f"{ja.spectral_score(p):.4f}" for p in (low, high)]
      ['0.4215', '0.3487']
      >>> f"{ja.spectral_score(high, signed=True):.4f}"
      '-0.3487'

    References:
      Luo, McDermott, O'Riordan. I-ASIDE. TMLR 2024, arXiv:2408.01139.
    """
    distribution = _check_bands("distribution", distribution)
    num_bands = distribution.shape[-1]
    if num_bands < 2:
        raise fail("distribution", "at least two bands", distribution)
    beta = check_number("beta", beta, 0.0, 1.0)
    weights = jnp.asarray(beta, distribution.dtype) ** jnp.arange(
        num_bands, dtype=distribution.dtype
    )
    norm = jnp.sqrt(jnp.sum(weights**2))
    uniform = jnp.sum(weights) / (num_bands * norm)
    share = _normalized(distribution)
    lean = jnp.matmul(share, weights / norm, precision=jax.lax.Precision.HIGHEST)
    scaled = (lean - uniform) / jnp.abs(1 - uniform)
    return scaled if signed else jnp.abs(scaled)


def _normalized(values: Array) -> Array:
    """Non-negative ``(..., M)`` to a sum of one; zeros to the uniform distribution."""
    total = jnp.sum(values, axis=-1, keepdims=True)
    safe = jnp.where(total == 0, 1, total)
    return jnp.where(total == 0, 1 / values.shape[-1], values / safe)


def _check_bands(name: str, values: ArrayLike) -> Array:
    expected = "a float array (..., M) with at least one band"
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError):
        raise fail(name, expected, values) from None
    if (
        not jnp.issubdtype(array.dtype, jnp.floating)
        or array.ndim < 1
        or not array.size
    ):
        raise fail(name, expected, array)
    return widen(array)
