"""Attention between the tokens of an image, as one fused call."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

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
            bias = bias.astype(x.dtype)
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        result = _attention(query, key, value, bias, scale)
        return self.project(result.reshape(rows, tokens, channels))


def _attention(
    query: Array, key: Array, value: Array, bias: Array | None, scale: float
) -> Array:
    """``(N, T, heads, D)`` of each, the softmax in float32 or wider."""
    if query.dtype == jnp.float64:  # which the fused call would round to float32
        logits = jnp.einsum("bthd,bshd->bhts", query, key) * scale
        weights = jax.nn.softmax(logits if bias is None else logits + bias)
        return jnp.einsum("bhts,bshd->bthd", weights, value)
    # It widens half precision by implicit promotion.
    with jax.numpy_dtype_promotion("standard"):
        return jax.nn.dot_product_attention(query, key, value, bias, scale=scale)


def relative_positions(size: int) -> Array:
    """``(size², size²)`` rows of a table of ``(2 size - 1)²`` displacements."""
    row, column = (a.reshape(-1) for a in jnp.indices((size, size)))
    rows = row[:, None] - row[None, :] + size - 1
    columns = column[:, None] - column[None, :] + size - 1
    return rows * (2 * size - 1) + columns
