"""What sums and exponentials are computed in."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxattr.typing import Array


def accumulator(dtype: DTypeLike) -> DTypeLike:
    """What sums of products of ``dtype`` are kept in: float32 or wider."""
    # Not promote_types, which refuses to compare under strict promotion.
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def widen(values: Array) -> Array:
    """At least float32: bfloat16 and float16 are widened, float64 stays."""
    return values.astype(accumulator(values.dtype))
