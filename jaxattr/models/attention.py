"""Attention between the tokens of an image, as one fused call."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxattr._numerics.dtypes import accumulator
from jaxattr.models.layers import BRANCH, Linear
from jaxattr.typing import Array


class SelfAttention(nnx.Module):
    """``softmax(q kᵀ · scale + bias) v`` in every head, ``(N, T, D) -> (N, T, D)``."""

    def __init__(self, channels: int, num_heads: int, *, scale: float | None = None):
        self.qkv = Linear(channels, 3 * channels)
        self.project = Linear(channels, channels, gain=BRANCH)
        self.num_heads, self.scale = num_heads, scale

    def __call__(self, x: Array, bias: Array | None = None) -> Array:
        """``bias`` is ``(1, heads, T, T)``; ``scale`` is ``head_dim^-½`` by default."""
        rows, tokens, channels = x.shape
        qkv = self.qkv(x).reshape(rows, tokens, 3, self.num_heads, -1)
        query, key, value = (qkv[:, :, i] for i in range(3))
        if bias is not None:
            bias = bias.astype(accumulator(x.dtype))
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        result = _attention(query, key, value, bias, scale)
        return self.project(result.reshape(rows, tokens, channels))


def _attention(
    query: Array, key: Array, value: Array, bias: Array | None, scale: float
) -> Array:
    """``(N, T, heads, D)`` of each, the softmax in float32 or wider."""
    if query.dtype == jnp.float32:
        return jax.nn.dot_product_attention(query, key, value, bias, scale=scale)
    # The fused call would round float64 to float32, and its products of half precision
    # have no transpose where implicit promotion is an error.
    wide = accumulator(query.dtype)
    logits = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=wide)
    logits = logits * scale
    if bias is not None:
        logits = logits + jnp.broadcast_to(bias, logits.shape)
    weights = jax.nn.softmax(logits).astype(value.dtype)
    return jnp.einsum("bhts,bshd->bthd", weights, value)


def relative_positions(size: int) -> Array:
    """``(size², size²)`` rows of a table of ``(2 size - 1)²`` displacements."""
    row, column = (a.reshape(-1) for a in jnp.indices((size, size)))
    rows = row[:, None] - row[None, :] + size - 1
    columns = column[:, None] - column[None, :] + size - 1
    return rows * (2 * size - 1) + columns
