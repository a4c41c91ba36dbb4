"""Small networks whose relevances the peers have computed, and the files of those.

``goldens/tiny_*.npz`` hold weights, images and relevances; ``goldens/README.md`` says
what the keys mean. The networks are written out in ``jax.numpy``, without the library.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import goldens
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

FOLDER = pathlib.Path(__file__).parent / "goldens"
BATCH_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON = 1e-6

Weights = Mapping[str, np.ndarray]
Network = Callable[[Weights, Array], Array]
"""Weights and images ``(N, H, W, C)`` to logits ``(N, K)``."""


class Golden(NamedTuple):
    """What is in a file."""

    weights: dict[str, np.ndarray]
    """By name, in JAX's layouts; in torch's for ``tiny_vit``."""
    arrays: dict[str, np.ndarray]
    """All else: ``images``, ``labels``, ``logits``, and relevances by name."""


def load(name: str) -> Golden:
    """The file of a name, its numbers widened to float64."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {
            key: value.astype(np.float64) if value.dtype == np.float32 else value
            for key, value in file.items()
        }
    prefix = "weights/"
    names = [key for key in arrays if key.startswith(prefix)]
    return Golden({n.removeprefix(prefix): arrays.pop(n) for n in names}, arrays)


def tiny_conv(weights: Weights, x: Array) -> Array:
    """Two convolutions, max pooling, a dense layer: ``(N, 8, 8, 3) -> (N, 5)``."""
    x = jax.nn.relu(_conv(weights, "conv1", x))
    x = jax.nn.relu(_conv(weights, "conv2", x))
    low = np.asarray(-np.inf, x.dtype)
    window = (1, 2, 2, 1)
    x = lax.reduce_window(x, low, lax.max, window, window, "VALID")
    return _dense(weights, "dense", x.reshape(x.shape[0], -1))


def tiny_residual(weights: Weights, x: Array, *, unfolded: bool = False) -> Array:
    """A residual block, mean pooling: ``(N, 8, 8, 3) -> (N, 5)``.

    Its batch norms are ``folded``, or ``unfolded``, written out behind convolutions.
    """
    norm = functools.partial(_batch_norm, weights) if unfolded else lambda name, x: x
    x = jax.nn.relu(norm("norm1", _conv(weights, "conv1", x)))
    branch = jax.nn.relu(norm("norm2", _conv(weights, "conv2", x)))
    x = jax.nn.relu(x + norm("norm3", _conv(weights, "conv3", branch)))
    window, zero = (1, 2, 2, 1), np.zeros((), x.dtype)
    x = lax.reduce_window(x, zero, lax.add, window, window, "VALID") / 4
    x = jax.nn.relu(_conv(weights, "conv4", x))
    return _dense(weights, "dense", jnp.mean(x, (1, 2)))


def tiny_smooth(weights: Weights, x: Array) -> Array:
    """Tanh, softplus and sigmoid: ``(N, 8, 8, 3) -> (N, 5)``."""
    x = jnp.tanh(_conv(weights, "conv1", x))
    x = jax.nn.softplus(_conv(weights, "conv2", x, stride=2))
    x = jax.nn.sigmoid(_dense(weights, "dense1", x.reshape(x.shape[0], -1)))
    return _dense(weights, "dense2", x)


class VitShape(NamedTuple):
    """The sizes of a vision transformer."""

    image: int
    patch: int
    channels: int
    num_heads: int
    hidden: int
    depth: int
    num_classes: int


TINY_VIT = VitShape(8, 4, 8, 2, 12, 1, 5)
SMALL_VIT = VitShape(32, 8, 48, 3, 96, 3, 10)


def vit_weights(shape: VitShape) -> dict[str, np.ndarray]:
    """Drawn from their names, as timm has them, in torch's layouts."""
    channels, hidden = shape.channels, shape.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (channels, 3, shape.patch, shape.patch),
        "norm.weight": (channels,),
        "head.weight": (shape.num_classes, channels),
    }
    for name in (f"blocks.{i}" for i in range(shape.depth)):
        shapes |= {
            f"{name}.norm1.weight": (channels,),
            f"{name}.attn.qkv.weight": (3 * channels, channels),
            f"{name}.attn.proj.weight": (channels, channels),
            f"{name}.norm2.weight": (channels,),
            f"{name}.mlp.fc1.weight": (hidden, channels),
            f"{name}.mlp.fc2.weight": (channels, hidden),
        }
    biases = {n.replace("weight", "bias"): s[:1] for n, s in shapes.items()}
    embeddings = {
        "cls_token": (1, 1, channels),
        "pos_embed": (1, (shape.image // shape.patch) ** 2 + 1, channels),
    }
    return goldens.checkpoint(shapes | biases | embeddings)


def baselines(shape: tuple[int, ...]) -> np.ndarray:
    """Three images ``(3, H, W, C)`` in [0, 1], float32."""
    rng = np.random.default_rng(2)
    return rng.random((3, *shape)).astype(np.float32)


def vit(weights: Weights, x: Array, shape: VitShape) -> Array:
    """A vision transformer with a class token, weights as timm names and lays them out.

    Images ``(N, H, W, 3)`` to logits ``(N, K)``.
    """
    patch, num_heads = shape.patch, shape.num_heads
    rows, height, width, channels = x.shape
    x = x.reshape(rows, height // patch, patch, width // patch, patch, channels)
    x = x.swapaxes(2, 3).reshape(rows, -1, patch * patch * channels)
    kernel = weights["patch_embed.proj.weight"]  # (D, C, patch, patch)
    kernel = kernel.transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0])
    x = _shift(x @ _as(kernel, x), weights["patch_embed.proj.bias"])
    token = jnp.zeros_like(x[:, :1]) + _as(weights["cls_token"], x)
    x = jnp.concatenate([token, x], 1) + _as(weights["pos_embed"], x)
    for name in (f"blocks.{i}" for i in range(shape.depth)):
        y = _layer_norm(weights, f"{name}.norm1", x)
        x = x + _attention(weights, f"{name}.attn", y, num_heads)
        y = _linear(
            weights, f"{name}.mlp.fc1", _layer_norm(weights, f"{name}.norm2", x)
        )
        x = x + _linear(weights, f"{name}.mlp.fc2", jax.nn.gelu(y, approximate=False))
    return _linear(weights, "head", _layer_norm(weights, "norm", x)[:, 0])


def tiny_vit(weights: Weights, x: Array) -> Array:
    """One block of two heads: ``(N, 8, 8, 3) -> (N, 5)``."""
    return vit(weights, x, TINY_VIT)


def small_vit(weights: Weights, x: Array) -> Array:
    """Three blocks of three heads: ``(N, 32, 32, 3) -> (N, 10)``."""
    return vit(weights, x, SMALL_VIT)


NETWORKS: dict[str, Network] = {
    "tiny_conv": tiny_conv,
    "tiny_residual": tiny_residual,
    "tiny_smooth": tiny_smooth,
    "tiny_vit": tiny_vit,
}


BLOCK = 4
"""Pixels of a block's side in a summary."""
SAMPLES = 512


def summary(relevance: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of a large map ``(N, H, W, C)``: enough to tell it from others.

    The sums of blocks, ``(N, H / BLOCK, W / BLOCK, C)``, some values, ``(SAMPLES,)``,
    and the largest absolute value.
    """
    values = np.asarray(relevance, np.float64)
    n, height, width, channels = values.shape
    blocks = values.reshape(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels)
    positions = np.random.default_rng(values.size).integers(0, values.size, SAMPLES)
    return {
        "blocks": blocks.sum((2, 4)),
        "samples": values.reshape(-1)[positions],
        "largest": np.abs(values).max(),
    }


def folded(weights: Weights) -> dict[str, np.ndarray]:
    """With every batch norm ``normI`` in ``convI``, float64; others as they are."""
    result = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    for name in [n.partition("/")[0] for n in weights if n.endswith("/var")]:
        scale, bias, mean, var = (
            result.pop(f"{name}/{part}") for part in ("scale", "bias", "mean", "var")
        )
        scale = scale / np.sqrt(var + BATCH_NORM_EPSILON)
        conv = name.replace("norm", "conv")
        result[f"{conv}/kernel"] = result[f"{conv}/kernel"] * scale
        result[f"{conv}/bias"] = (result[f"{conv}/bias"] - mean) * scale + bias
    return result


def _conv(weights: Weights, name: str, x: Array, stride: int = 1) -> Array:
    """Padded by ``(window - 1) // 2`` zeros on every side."""
    kernel = _as(weights[f"{name}/kernel"], x)
    pad = ((kernel.shape[0] - 1) // 2,) * 2
    x = lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        (pad, pad),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return _shift(x, weights[f"{name}/bias"])


def _batch_norm(weights: Weights, name: str, x: Array) -> Array:
    scale, bias, mean, var = (
        lax.broadcast_in_dim(_as(weights[f"{name}/{part}"], x), x.shape, (3,))
        for part in ("scale", "bias", "mean", "var")
    )
    return (x - mean) * (lax.rsqrt(var + BATCH_NORM_EPSILON) * scale) + bias


def _dense(weights: Weights, name: str, x: Array) -> Array:
    return _shift(x @ _as(weights[f"{name}/kernel"], x), weights[f"{name}/bias"])


def _linear(weights: Weights, name: str, x: Array) -> Array:
    """Torch's layout, ``(O, I)``."""
    return _shift(x @ _as(weights[f"{name}.weight"].T, x), weights[f"{name}.bias"])


def _attention(weights: Weights, name: str, x: Array, num_heads: int) -> Array:
    rows, tokens, channels = x.shape
    qkv = _linear(weights, f"{name}.qkv", x).reshape(rows, tokens, 3, num_heads, -1)
    query, key, value = (qkv[:, :, i] for i in range(3))
    scores = jnp.einsum("nqhd,nkhd->nhqk", query, key) * query.shape[-1] ** -0.5
    mixed = jnp.einsum("nhqk,nkhd->nqhd", jax.nn.softmax(scores), value)
    return _linear(weights, f"{name}.proj", mixed.reshape(rows, tokens, channels))


def _layer_norm(weights: Weights, name: str, x: Array) -> Array:
    x = x - jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(x * x, -1, keepdims=True)
    x = x * lax.rsqrt(variance + LAYER_NORM_EPSILON)
    scale = lax.broadcast_in_dim(
        _as(weights[f"{name}.weight"], x), x.shape, (x.ndim - 1,)
    )
    return _shift(x * scale, weights[f"{name}.bias"])


def _shift(x: Array, bias: np.ndarray) -> Array:
    return x + lax.broadcast_in_dim(_as(bias, x), x.shape, (x.ndim - 1,))


def _as(values: np.ndarray, x: Array) -> Array:
    return jnp.asarray(values, x.dtype)
