"""Attention between the tokens of an image."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxattr._numerics.apart import apart
from jaxattr._numerics.dtypes import accumulator
from jaxattr.models.layers import BRANCH, Linear, parameter
from jaxattr.typing import Array


class SelfAttention(nnx.Module):
    """``softmax(q kᵀ · scale + bias) v`` in every head, ``(N, T, D) -> (N, T, D)``."""

    def __init__(self, channels: int, num_heads: int, *, scale: float | None = None):
        self.qkv = Linear(channels, 3 * channels)
        self.project = Linear(channels, channels, gain=BRANCH)
        self.num_heads, self.scale = num_heads, scale

    def __call__(self, x: Array, bias: Array | None = None) -> Array:
        """``bias`` is ``(1 or N, heads, T, T)``; ``scale``, by default, ``head_dim^-½``."""
        query, key, value = _heads(self.qkv(x), self.num_heads)
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        result = _attention(query, key, value, bias, scale)
        return self.project(result.reshape(x.shape))


class CosineAttention(nnx.Module):
    """``softmax(cos(q, k) · min(eˢ, 100) + bias) v``, with an s a head, learned.

    References:
      Z. Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR
      2022, arXiv:2111.09883.
    """

    def __init__(self, channels: int, num_heads: int):
        self.qkv = Linear(channels, 3 * channels)
        self.project = Linear(channels, channels, gain=BRANCH)
        self.logit_scale = parameter(num_heads, 1, 1)
        self.num_heads = num_heads

    def __call__(self, x: Array, bias: Array | None = None) -> Array:
        """``bias`` is ``(1 or N, heads, T, T)``."""
        query, key, value = _heads(self.qkv(x), self.num_heads)
        scale = jnp.exp(jnp.minimum(self.logit_scale[...], math.log(100.0)))
        query = _unit(query) * jnp.reshape(scale, (1, 1, -1, 1)).astype(x.dtype)
        result = _attention(query, _unit(key), value, bias, 1.0)
        return self.project(result.reshape(x.shape))


def _heads(qkv: Array, num_heads: int) -> list[Array]:
    """Queries, keys and values ``(N, T, heads, D)`` from ``(N, T, 3 heads D)``."""
    parts = qkv.reshape(*qkv.shape[:2], 3, num_heads, -1)
    return [parts[:, :, i] for i in range(3)]


def _unit(x: Array) -> Array:
    """Of norm one along the last axis; what is zero stays."""
    wide = x.astype(accumulator(x.dtype))
    square = jnp.sum(wide * wide, -1, keepdims=True)
    return (wide * lax.rsqrt(jnp.maximum(square, 1e-24))).astype(x.dtype)


def _attention(
    query: Array, key: Array, value: Array, bias: Array | None, scale: float
) -> Array:
    """``(N, T, heads, D)`` of each, the softmax in float32 or wider.

    Not ``jax.nn.dot_product_attention``, which rounds float64 to float32, and whose
    products of half precision have no transpose where implicit promotion is an error.
    """
    wide = accumulator(query.dtype)
    # A batch of products a head, both ways: XLA on CPU finds a slower order for others.
    query, key, value = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    logits = jnp.einsum("bhtd,bhsd->bhts", query, key, preferred_element_type=wide)
    logits = logits * scale
    if bias is not None:
        logits = logits + jnp.broadcast_to(bias.astype(wide), logits.shape)
    weights = jax.nn.softmax(logits).astype(value.dtype)
    result = jnp.einsum("bhts,bhsd->bhtd", weights, value)
    return jnp.swapaxes(apart(result), 1, 2)


def relative_bias(table: Array, size: int) -> Array:
    """``(1, heads, size², size²)`` from ``((2 size - 1)², heads)``, displacements."""
    return jnp.moveaxis(table[relative_positions(size)], -1, 0)[None]


def relative_positions(size: int) -> Array:
    """``(size², size²)`` rows of a table of ``(2 size - 1)²`` displacements."""
    row, column = (a.reshape(-1) for a in jnp.indices((size, size)))
    rows = row[:, None] - row[None, :] + size - 1
    columns = column[:, None] - column[None, :] + size - 1
    return rows * (2 * size - 1) + columns
