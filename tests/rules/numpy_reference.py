"""Relevance in numpy, float64, straight from the equations: slow and plain.

A linear layer is its whole matrix ``A`` ``(O, I)``, a rule the matrix of parts that it
shares by. Networks take one image at a time; the passes back are written out layer by
layer.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

Array = np.ndarray


def stabilised(z: Array, epsilon: float) -> Array:
    """``s(z) = z + ε sign z``, the sign of zero being one."""
    return z + np.where(z >= 0, epsilon, -epsilon)


def share(parts: Array, bias: Array, relevance: Array, epsilon: float) -> Array:
    """``R_i = Σ_j R_j p_ji / s(Σ_i p_ji + b_j)``, parts ``(O, I)``."""
    total = stabilised(parts.sum(1) + bias, epsilon)
    ratio = np.divide(relevance, total, out=np.zeros_like(total), where=total != 0)
    return parts.T @ ratio


def positive(values: Array) -> Array:
    return np.where(values > 0, values, 0.0)


def negative(values: Array) -> Array:
    return np.where(values < 0, values, 0.0)


def by_rule(rule: str, a: Array, b: Array, x: Array, r: Array) -> Array:
    """What the inputs of ``z = a x + b`` get; a rule by its name and numbers."""
    parts, epsilon = a * x, 1e-6
    if rule == "zero":
        return share(parts, b, r, 0.0)
    if rule == "epsilon":
        return share(parts, b, r, epsilon)
    if rule == "z_plus":
        return share(positive(parts), positive(b), r, epsilon)
    if rule == "alpha2_beta1":
        above = share(positive(parts), positive(b), r, epsilon)
        below = share(negative(parts), negative(b), r, epsilon)
        return 2 * above - below
    if rule == "gamma":
        z = parts.sum(1) + b
        up = np.where(z > 0, r, 0.0), positive
        down = np.where(z < 0, r, 0.0), negative
        return sum(
            share(parts + 0.25 * half(parts), b + 0.25 * half(b), part, epsilon)
            for part, half in (up, down)
        )
    if rule == "flat":
        return share((a != 0) * 1.0, np.zeros_like(b), r, epsilon)
    if rule == "z_box":  # for pixels in [0, 1]
        parts = parts - positive(a) * 0.0 - negative(a) * 1.0
        return share(parts, np.zeros_like(b), r, epsilon)
    raise KeyError(rule)


LINEAR = {
    "zero": ("zero", "zero", "zero"),
    "epsilon": ("epsilon", "epsilon", "epsilon"),
    "epsilon_plus": ("z_plus", "z_plus", "epsilon"),
    "epsilon_plus_flat": ("flat", "z_plus", "epsilon"),
    "epsilon_gamma_box": ("z_box", "gamma", "epsilon"),
    "epsilon_alpha2_beta1": ("alpha2_beta1", "alpha2_beta1", "epsilon"),
    "epsilon_alpha2_beta1_flat": ("flat", "alpha2_beta1", "epsilon"),
    "attn_lrp": ("epsilon", "epsilon", "epsilon"),
}
"""Of each composite, the rules of a first convolution, of others, of dense layers."""


def convolution_matrix(kernel: Array, height: int, width: int) -> Array:
    """Of ``(3, 3, I, O)`` with a border of zeros, images and results ``(H, W, ·)``."""
    inputs, outputs = kernel.shape[2:]
    matrix = np.zeros((height, width, outputs, height, width, inputs))
    for row in range(height):
        for column in range(width):
            for i in range(3):
                for j in range(3):
                    y, x = row + i - 1, column + j - 1
                    if 0 <= y < height and 0 <= x < width:
                        matrix[row, column, :, y, x, :] = kernel[i, j].T
    return matrix.reshape(height * width * outputs, height * width * inputs)


@dataclasses.dataclass
class Relevances:
    """Of one image."""

    images: Array
    score: float
    layers: dict[str, float]
    """The sum over what each layer's results have, from the score down."""


# A small CNN: convolution, ReLU, max pooling, a residual block, a dense layer.

SIZE, CHANNELS = 6, 3


def cnn_weights(seed: int, with_bias: bool) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    bias = 0.1 * with_bias
    pooled = (SIZE // 2) ** 2 * CHANNELS
    return {
        "conv1": rng.normal(0, 0.4, (3, 3, 2, CHANNELS)),
        "bias1": bias * rng.normal(size=CHANNELS),
        "conv2": rng.normal(0, 0.3, (3, 3, CHANNELS, CHANNELS)),
        "bias2": bias * rng.normal(size=CHANNELS),
        "dense": rng.normal(0, 0.3, (pooled, 4)),
        "bias": bias * rng.normal(size=4),
    }


def cnn(
    weights: dict[str, Array], image: Array, label: int, composite: str
) -> Relevances:
    first, convolution, dense = LINEAR[composite]
    half = SIZE // 2
    a1 = convolution_matrix(weights["conv1"], SIZE, SIZE)
    b1 = np.tile(weights["bias1"], SIZE * SIZE)
    a2 = convolution_matrix(weights["conv2"], half, half)
    b2 = np.tile(weights["bias2"], half * half)
    x = image.ravel()
    h1 = positive(a1 @ x + b1).reshape(SIZE, SIZE, CHANNELS)
    windows = h1.reshape(half, 2, half, 2, CHANNELS).swapaxes(1, 2)
    windows = windows.reshape(half, half, 4, CHANNELS)
    pooled = windows.max(2).ravel()
    branch = a2 @ pooled + b2
    h2 = positive(pooled + branch)
    logits = h2 @ weights["dense"] + weights["bias"]
    # And back.
    r = np.where(np.arange(4) == label, logits, 0.0)
    layers = {"score": r.sum()}
    r = by_rule(dense, weights["dense"].T, weights["bias"], h2, r)
    layers["block"] = r.sum()
    epsilon = 0.0 if composite == "zero" else 1e-6
    total = stabilised(pooled + branch, epsilon)
    r_pooled, r_branch = pooled * r / total, branch * r / total
    layers["addition"] = r_pooled.sum() + r_branch.sum()
    r = r_pooled + by_rule(convolution, a2, b2, pooled, r_branch)
    layers["pool"] = r.sum()
    unpooled = np.zeros_like(windows)
    winner = windows.argmax(2)  # the first of equals
    for row, column, channel in np.ndindex(half, half, CHANNELS):
        where = winner[row, column, channel]
        unpooled[row, column, where, channel] = r.reshape(half, half, -1)[
            row, column, channel
        ]
    r = unpooled.reshape(half, half, 2, 2, CHANNELS).swapaxes(1, 2).ravel()
    layers["conv1"] = r.sum()
    r = by_rule(first, a1, b1, x, r)
    layers["images"] = r.sum()
    return Relevances(r.reshape(image.shape), logits[label], layers)


# A transformer of one block: patches, layer norm, softmax attention, MLP, mean of tokens.

TOKENS, WIDTH, HEADS, HIDDEN, PATCH = 4, 6, 2, 8, 8
NORM_EPSILON = 1e-5


def transformer_weights(seed: int, with_bias: bool) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {
        "embed": (PATCH, WIDTH),
        **dict.fromkeys(("query", "key", "value", "project"), (WIDTH, WIDTH)),
        "expand": (WIDTH, HIDDEN),
        "contract": (HIDDEN, WIDTH),
        "head": (WIDTH, 4),
    }
    weights = {n: rng.normal(0, s[0] ** -0.5, s) for n, s in shapes.items()}
    # Large values, of which a stabiliser of 1e-6 keeps little.
    weights["embed"] *= 30
    scale = 0.1 * with_bias
    weights |= {f"{n}_bias": scale * rng.normal(size=s[1]) for n, s in shapes.items()}
    for norm in ("norm1", "norm2"):
        weights[norm] = 1 + 0.2 * rng.normal(size=WIDTH)
        weights[f"{norm}_bias"] = scale * rng.normal(size=WIDTH)
    return weights


def gelu(x: Array) -> Array:
    return x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2


def transformer(
    weights: dict[str, Array], image: Array, label: int, composite: str
) -> Relevances:
    w = weights
    first = "flat" if composite.endswith("flat") else LINEAR[composite][2]
    rest = LINEAR[composite][2]
    epsilon = 0.0 if composite == "zero" else 1e-6

    def dense(name: str, x: Array) -> Array:
        return x @ w[name] + w[f"{name}_bias"]

    def dense_back(name: str, x: Array, r: Array, rule: str = rest) -> Array:
        a, b = w[name].T, w[f"{name}_bias"]
        return np.stack([by_rule(rule, a, b, xt, rt) for xt, rt in zip(x, r)])

    def norm(name: str, x: Array) -> tuple[Array, Array]:
        centred = x - x.mean(-1, keepdims=True)
        inverse = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + NORM_EPSILON)
        return centred * inverse * w[name] + w[f"{name}_bias"], inverse

    def norm_back(name: str, x: Array, r: Array) -> Array:
        if composite != "attn_lrp":
            return r
        _, inverse = norm(name, x)
        centring = np.eye(WIDTH) - 1 / WIDTH
        return np.stack(
            [
                by_rule(
                    "epsilon",
                    (w[name] * i)[:, None] * centring,
                    w[f"{name}_bias"],
                    xt,
                    rt,
                )
                for xt, rt, i in zip(x, r, inverse[:, 0])
            ]
        )

    def heads(x: Array) -> Array:
        return x.reshape(TOKENS, HEADS, -1).swapaxes(0, 1)

    def joined(x: Array) -> Array:
        return x.swapaxes(0, 1).reshape(TOKENS, -1)

    def product_back(a: Array, b: Array, r: Array) -> tuple[Array, Array]:
        """Of ``a b``, both matrices of every head: each summand in halves."""
        ratio = r / stabilised(2 * (a @ b), 1e-8)
        return (
            a * (ratio @ b.swapaxes(-1, -2)),
            b * (a.swapaxes(-1, -2) @ ratio),
        )

    def sum_back(x: Array, y: Array, r: Array) -> tuple[Array, Array]:
        ratio = r / stabilised(x + y, epsilon)
        return x * ratio, y * ratio

    patches = image.reshape(TOKENS, PATCH)
    x0 = dense("embed", patches)
    n1, _ = norm("norm1", x0)
    query, key, value = (heads(dense(n, n1)) for n in ("query", "key", "value"))
    raw = query @ key.swapaxes(-1, -2)
    scaled = raw * (WIDTH // HEADS) ** -0.5
    attention = np.exp(scaled) / np.exp(scaled).sum(-1, keepdims=True)
    mixed = joined(attention @ value)
    branch = dense("project", mixed)
    x1 = x0 + branch
    n2, _ = norm("norm2", x1)
    hidden = dense("expand", n2)
    active = gelu(hidden)
    other = dense("contract", active)
    x2 = x1 + other
    mean = x2.mean(0)
    logits = mean @ w["head"] + w["head_bias"]
    # And back.
    r = np.where(np.arange(4) == label, logits, 0.0)
    layers = {"score": r.sum()}
    r = by_rule(rest, w["head"].T, w["head_bias"], mean, r)
    layers["mean"] = r.sum()
    r = x2 / TOKENS * r / stabilised(mean, epsilon)
    layers["block"] = r.sum()
    r_x1, r_other = sum_back(x1, other, r)
    r_active = dense_back("contract", active, r_other)
    r = norm_back("norm2", x1, dense_back("expand", n2, r_active))
    r_x1 = r_x1 + r
    layers["attended"] = r_x1.sum()
    r_x0, r_branch = sum_back(x0, branch, r_x1)
    r_mixed = heads(dense_back("project", mixed, r_branch))
    r_attention, r_value = product_back(attention, value, r_mixed)
    r_scaled = scaled * (r_attention - attention * r_attention.sum(-1, keepdims=True))
    softmax_kept = r_attention.sum() - r_scaled.sum()
    r_query, r_key = product_back(query, key.swapaxes(-1, -2), r_scaled)
    r_key = r_key.swapaxes(-1, -2)
    r_n1 = sum(
        dense_back(n, n1, joined(r))
        for n, r in (("query", r_query), ("key", r_key), ("value", r_value))
    )
    r_x0 = r_x0 + norm_back("norm1", x0, r_n1)
    layers["tokens"] = r_x0.sum()
    r = dense_back("embed", patches, r_x0, first)
    layers["images"] = r.sum()
    layers["softmax keeps"] = softmax_kept
    return Relevances(r.reshape(image.shape), logits[label], layers)
