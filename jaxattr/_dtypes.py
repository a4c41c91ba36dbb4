"""What sums and exponentials are computed in."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr.typing import Array


def widen(values: Array) -> Array:
    """At least float32: bfloat16 and float16 are widened, float64 stays."""
    # Not promote_types, which refuses to compare under strict promotion.
    narrow = jnp.finfo(values.dtype).bits < 32
    return values.astype(jnp.float32) if narrow else values
