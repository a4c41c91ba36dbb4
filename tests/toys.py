"""Toy models with known answers, and float64 on request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """64-bit types inside: nothing in the library pins float32."""
    with jax.enable_x64(True):
        yield


def images(n: int = 3, h: int = 6, w: int = 5, c: int = 3, dtype=jnp.float32):
    """Uniform in [0.1, 0.9], so that small steps meet no bound."""
    return jax.random.uniform(jax.random.key(7), (n, h, w, c), dtype, 0.1, 0.9)


def labels(n: int = 3, num_classes: int = 4):
    return jnp.arange(n) % num_classes


def linear(h: int = 6, w: int = 5, c: int = 3, num_classes: int = 4, dtype=jnp.float32):
    """``z = x·W + b`` and W ``(H, W, C, K)``."""
    weights = jax.random.normal(jax.random.key(1), (h, w, c, num_classes), dtype)
    bias = jnp.arange(num_classes, dtype=dtype)

    def logits_fn(x):
        return jnp.einsum("nhwc,hwck->nk", x, weights.astype(x.dtype)) + bias[None]

    return logits_fn, weights


def init_smooth(key, h: int = 6, w: int = 5, c: int = 3, num_classes: int = 4):
    """Parameters of ``smooth_logits``."""
    first, second = jax.random.split(key)
    size = h * w * c
    return {
        "hidden": jax.random.normal(first, (size, 16)) * (3 / size) ** 0.5,
        "head": jax.random.normal(second, (16, num_classes)),
    }


def smooth_logits(params, x):
    """A small network with curvature everywhere."""
    hidden = jnp.tanh(x.reshape(x.shape[0], -1) @ params["hidden"].astype(x.dtype))
    return hidden @ params["head"].astype(x.dtype)
