"""Propagation rules in numpy and float64, straight from their equations: slow.

A linear layer is one matrix here, ``z = A x + b`` of an image's flattened values, and a
rule says which parts ``p_ji`` of ``z_j`` its inputs have, and which part the bias:
``R_i = Σ_j R_j p_ji / s(Σ_i p_ji + bias part)``, ``s(z) = z + ε sign z``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EPSILON = 1e-6
"""In linear layers and sums."""
PRODUCTS = 1e-8
"""In products of two branches."""


class Affine(NamedTuple):
    """A linear layer as a matrix."""

    matrix: np.ndarray
    """``(outputs, inputs)``."""
    bias: np.ndarray
    """``(outputs,)``."""
    connected: np.ndarray
    """Like the matrix: one where an output sees an input, its weight zero or not."""


class Shared(NamedTuple):
    """What a rule makes of relevance."""

    inputs: np.ndarray
    kept: float
    """By the bias and the stabiliser: ``Σ_j R_j (bias part + ε sign z_j) / s(z_j)``."""


Rule = Callable[[Affine, np.ndarray, np.ndarray], Shared]
"""A layer, its inputs and the relevance of its outputs."""


def share(
    parts: np.ndarray, bias: np.ndarray, relevance: np.ndarray, epsilon: float
) -> Shared:
    """In proportion to parts ``(outputs, inputs)``; nothing where all are zero."""
    total = parts.sum(1) + bias
    stabiliser = np.where(total >= 0, epsilon, -epsilon)
    total = total + stabiliser
    each = np.zeros_like(total)
    np.divide(relevance, total, out=each, where=total != 0)
    lost = relevance[total == 0].sum()
    return Shared(each @ parts, float(each @ (bias + stabiliser) + lost))


def above(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def below(x: np.ndarray) -> np.ndarray:
    return np.minimum(x, 0)


def parts_rule(
    parts: Callable[[Affine, np.ndarray], tuple[np.ndarray, np.ndarray]],
    epsilon: float = EPSILON,
) -> Rule:
    def rule(layer: Affine, x: np.ndarray, relevance: np.ndarray) -> Shared:
        return share(*parts(layer, x), relevance, epsilon)

    return rule


def epsilon_parts(layer: Affine, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return layer.matrix * x, layer.bias


def plus_parts(layer: Affine, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return above(layer.matrix * x), above(layer.bias)


def minus_parts(layer: Affine, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return below(layer.matrix * x), below(layer.bias)


def gamma_parts(layer: Affine, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of the sign of the result count 1.25 times."""
    parts, gamma = layer.matrix * x, 0.25
    positive = parts.sum(1) + layer.bias > 0

    def larger(p: np.ndarray, up: np.ndarray) -> np.ndarray:
        return p + gamma * np.where(up, above(p), below(p))

    return larger(parts, positive[:, None]), larger(layer.bias, positive)


def flat_parts(layer: Affine, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return layer.connected, np.zeros_like(layer.bias)


def box_parts(layer: Affine, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels are in [0, 1]."""
    low, high = 0.0, 1.0
    parts = layer.matrix * x - above(layer.matrix) * low - below(layer.matrix) * high
    return parts, np.zeros_like(layer.bias)


def alpha2_beta1(layer: Affine, x: np.ndarray, relevance: np.ndarray) -> Shared:
    up = share(*plus_parts(layer, x), relevance, EPSILON)
    down = share(*minus_parts(layer, x), relevance, EPSILON)
    return Shared(2 * up.inputs - down.inputs, 2 * up.kept - down.kept)


class Composite(NamedTuple):
    """Which rule stands where."""

    first_convolution: Rule
    convolution: Rule
    first_dense: Rule
    dense: Rule
    epsilon: float = EPSILON
    """In sums of branches and over places."""
    norms_share: bool = False
    """Whether layer norms and positions share by epsilon; else relevance passes."""


ZERO = parts_rule(epsilon_parts, 0.0)
BY_EPSILON = parts_rule(epsilon_parts)
PLUS, FLAT = parts_rule(plus_parts), parts_rule(flat_parts)
GAMMA, BOX = parts_rule(gamma_parts), parts_rule(box_parts)

COMPOSITES: dict[str, Composite] = {
    "zero": Composite(ZERO, ZERO, ZERO, ZERO, epsilon=0.0),
    "epsilon": Composite(BY_EPSILON, BY_EPSILON, BY_EPSILON, BY_EPSILON),
    "epsilon_plus": Composite(PLUS, PLUS, BY_EPSILON, BY_EPSILON),
    "epsilon_plus_flat": Composite(FLAT, PLUS, FLAT, BY_EPSILON),
    "epsilon_gamma_box": Composite(BOX, GAMMA, BY_EPSILON, BY_EPSILON),
    "epsilon_alpha2_beta1": Composite(
        alpha2_beta1, alpha2_beta1, BY_EPSILON, BY_EPSILON
    ),
    "epsilon_alpha2_beta1_flat": Composite(FLAT, alpha2_beta1, FLAT, BY_EPSILON),
    "attn_lrp": Composite(
        BY_EPSILON, BY_EPSILON, BY_EPSILON, BY_EPSILON, norms_share=True
    ),
}


class Account(NamedTuple):
    """Of one image."""

    score: float
    image: np.ndarray
    """The map."""
    relevance: dict[str, np.ndarray]
    """Of what each layer returns, by the layer's name."""
    kept: dict[str, float]
    """By each layer."""


Weights = dict[str, np.ndarray]


def add(a: np.ndarray, b: np.ndarray, relevance: np.ndarray, epsilon: float):
    """The shares of two branches in their sum, ``R_a = a R / s(a + b)``, and the rest."""
    total = a + b
    stabiliser = np.where(total >= 0, epsilon, -epsilon)
    each = np.zeros_like(total)
    np.divide(relevance, total + stabiliser, out=each, where=total + stabiliser != 0)
    return a * each, b * each, float((each * stabiliser).sum())


# A small convolutional network.


def convolution(kernel: np.ndarray, bias: np.ndarray, height: int, width: int):
    """A window ``(3, 3, I, O)`` padded by zeros, for images ``(H, W, I)``."""
    sides = (height, width)
    shape = (*sides, kernel.shape[3], *sides, kernel.shape[2])
    matrix, connected = np.zeros(shape), np.zeros(shape)
    for y in range(height):
        for x in range(width):
            for i in range(3):
                for j in range(3):
                    v, u = y + i - 1, x + j - 1
                    if 0 <= v < height and 0 <= u < width:
                        matrix[y, x, :, v, u, :] = kernel[i, j].T
                        connected[y, x, :, v, u, :] = 1
    rows = height * width * kernel.shape[3]
    biases = np.tile(bias, height * width)
    return Affine(matrix.reshape(rows, -1), biases, connected.reshape(rows, -1))


def dense(weights: np.ndarray, bias: np.ndarray, tokens: int = 1) -> Affine:
    """``x W + b`` for each token."""
    each = np.eye(tokens)
    return Affine(
        np.kron(each, weights.T),
        np.tile(bias, tokens),
        np.kron(each, np.ones_like(weights.T)),
    )


def apply(layer: Affine, x: np.ndarray) -> np.ndarray:
    return layer.matrix @ x.ravel() + layer.bias


def winners(x: np.ndarray) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """For every result of max pooling 2x2, its place and that of the largest value."""
    height, width, channels = x.shape
    found = []
    for y in range(height // 2):
        for u in range(width // 2):
            for c in range(channels):
                window = [(2 * y + i, 2 * u + j, c) for i in (0, 1) for j in (0, 1)]
                found.append(((y, u, c), max(window, key=lambda at: x[at])))
    return found


def cnn(weights: Weights, image: np.ndarray, label: int, rules: Composite) -> Account:
    """conv1 - ReLU - max pool - (x + conv2 x) - ReLU - dense."""
    height, width, _ = image.shape
    conv1 = convolution(weights["conv1"], weights["conv1_bias"], height, width)
    h1 = apply(conv1, image).reshape(height, width, -1)
    r1 = above(h1)
    chosen = winners(r1)
    pooled = np.zeros((height // 2, width // 2, h1.shape[2]))
    for place, winner in chosen:
        pooled[place] = r1[winner]
    conv2 = convolution(weights["conv2"], weights["conv2_bias"], *pooled.shape[:2])
    branch = apply(conv2, pooled).reshape(pooled.shape)
    summed = pooled + branch
    r2 = above(summed)
    head = dense(weights["head"], weights["head_bias"])
    logits = apply(head, r2)

    relevance, kept = {}, {}
    relevance["head"] = np.where(np.arange(len(logits)) == label, logits, 0.0)
    back = rules.dense(head, r2.ravel(), relevance["head"])
    kept["head"] = back.kept
    relevance["add"] = back.inputs.reshape(r2.shape)
    direct, relevance["conv2"], kept["add"] = add(
        pooled, branch, relevance["add"], rules.epsilon
    )
    back = rules.convolution(conv2, pooled.ravel(), relevance["conv2"].ravel())
    kept["conv2"] = back.kept
    relevance["pool"] = direct + back.inputs.reshape(pooled.shape)
    relevance["conv1"] = np.zeros_like(r1)
    for place, winner in chosen:
        relevance["conv1"][winner] += relevance["pool"][place]
    back = rules.first_convolution(conv1, image.ravel(), relevance["conv1"].ravel())
    kept["conv1"] = back.kept
    return Account(logits[label], back.inputs.reshape(image.shape), relevance, kept)


# A transformer of one block.

PATCH, NORM_EPSILON = 2, 1e-6


def patches(image: np.ndarray) -> np.ndarray:
    """``(tokens, pixels)``."""
    height, width, _ = image.shape
    return np.stack(
        [
            image[y : y + PATCH, x : x + PATCH].ravel()
            for y in range(0, height, PATCH)
            for x in range(0, width, PATCH)
        ]
    )


def unpatched(tokens: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    image = np.zeros(shape)
    corners = [(y, x) for y in range(0, shape[0], PATCH) for x in range(0, shape[1], 2)]
    for token, (y, x) in zip(tokens, corners, strict=True):
        image[y : y + PATCH, x : x + PATCH] = token.reshape(PATCH, PATCH, -1)
    return image


def layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> Affine:
    """``(x - mean x) scale / σ + shift`` of each token, the statistic σ a constant."""
    tokens, channels = x.shape
    centring = np.eye(channels) - 1 / channels
    matrix = np.zeros((tokens, channels, tokens, channels))
    for t in range(tokens):
        deviation = math.sqrt(((x[t] - x[t].mean()) ** 2).mean() + NORM_EPSILON)
        matrix[t, :, t, :] = scale[:, None] * centring / deviation
    matrix = matrix.reshape(tokens * channels, -1)
    return Affine(matrix, np.tile(shift, tokens), np.ones_like(matrix))


def product(a: np.ndarray, b: np.ndarray, relevance: np.ndarray):
    """Of ``Σ_k a_ik b_kj``, every summand's share in halves; and what is kept."""
    of_a, of_b, kept = np.zeros_like(a), np.zeros_like(b), 0.0
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            parts = a[i] * b[:, j]
            total = 2 * parts.sum()
            total = total + (PRODUCTS if total >= 0 else -PRODUCTS)
            each = parts * relevance[i, j] / total
            of_a[i] += each
            of_b[:, j] += each
            kept += relevance[i, j] - 2 * each.sum()
    return of_a, of_b, kept


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def transformer(
    weights: Weights, image: np.ndarray, label: int, rules: Composite
) -> Account:
    """Patches, positions, x + attention(norm x), x + mlp(norm x), norm, mean, dense."""
    tokens = patches(image)
    count = len(tokens)
    rows = lambda v: v.reshape(count, -1)
    layers = {
        name: dense(weights[name], weights[f"{name}_bias"], count)
        for name in ("embed", "query", "key", "value", "project", "up", "down")
    }
    norm = lambda name, x: layer_norm(x, weights[name], weights[f"{name}_bias"])
    embedded = rows(apply(layers["embed"], tokens))
    x0 = embedded + weights["positions"]
    norm1 = norm("norm1", x0)
    y1 = rows(apply(norm1, x0))
    q, k, v = (rows(apply(layers[n], y1)) for n in ("query", "key", "value"))
    scores = q @ k.T
    scaled = scores / math.sqrt(q.shape[1])
    p = softmax(scaled)
    mixed = p @ v
    projected = rows(apply(layers["project"], mixed))
    x1 = x0 + projected
    norm2 = norm("norm2", x1)
    y2 = rows(apply(norm2, x1))
    hidden = gelu(rows(apply(layers["up"], y2)))
    lowered = rows(apply(layers["down"], hidden))
    x2 = x1 + lowered
    norm3 = norm("norm3", x2)
    y3 = rows(apply(norm3, x2))
    mean = Affine(np.kron(np.full((1, count), 1 / count), np.eye(y3.shape[1])), 0, 0)
    mean = mean._replace(bias=np.zeros(y3.shape[1]))
    y4 = apply(mean, y3)
    head = dense(weights["head"], weights["head_bias"])
    logits = apply(head, y4)

    relevance, kept = {}, {}

    def through(name, rule, layer, x, given):
        """The relevance of a layer's inputs, as rows for every token."""
        relevance[name] = given
        back = rule(layer, x.ravel(), given.ravel())
        kept[name] = back.kept
        return back.inputs.reshape(x.shape)

    def through_norm(name, layer, x, given):
        passed = lambda layer, x, given: Shared(given, 0.0)
        return through(
            name, BY_EPSILON if rules.norms_share else passed, layer, x, given
        )

    linear = functools.partial(through, rule=rules.dense)
    start = np.where(np.arange(len(logits)) == label, logits, 0.0)
    r = linear("head", layer=head, x=y4, given=start)
    over = parts_rule(epsilon_parts, rules.epsilon)
    r = through("mean", over, mean, y3, r)
    relevance["add2"] = through_norm("norm3", norm3, x2, r)
    r1, r, kept["add2"] = add(x1, lowered, relevance["add2"], rules.epsilon)
    r = linear("down", layer=layers["down"], x=hidden, given=r)
    r = linear("up", layer=layers["up"], x=y2, given=r)
    relevance["add1"] = r1 + through_norm("norm2", norm2, x1, r)
    r0, r, kept["add1"] = add(x0, projected, relevance["add1"], rules.epsilon)
    relevance["mix"] = linear("project", layer=layers["project"], x=mixed, given=r)
    relevance["softmax"], of_value, kept["mix"] = product(p, v, relevance["mix"])
    r = relevance["softmax"]
    relevance["scores"] = scaled * (r - p * r.sum(1, keepdims=True))
    kept["softmax"] = float((r - relevance["scores"]).sum())
    of_query, of_key, kept["scores"] = product(q, k.T, relevance["scores"])
    given = {"query": of_query, "key": of_key.T, "value": of_value}
    r = sum(linear(n, layer=layers[n], x=y1, given=given[n]) for n in given)
    relevance["positions"] = r0 + through_norm("norm1", norm1, x0, r)
    r = relevance["positions"]
    if rules.norms_share:
        eye = np.eye(embedded.size)
        positions = Affine(eye, weights["positions"].ravel(), eye)
        r = through("positions", BY_EPSILON, positions, embedded, r)
    r = through("embed", rules.first_dense, layers["embed"], tokens, r)
    return Account(logits[label], unpatched(r, image.shape), relevance, kept)
