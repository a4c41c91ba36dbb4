"""Every composite against a slow reference, and what every layer keeps, counted."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax import lax
from quick import quick
from rules import slow_rules

from jaxattr import rules
from jaxattr.attributions.lrp import lrp

LABELS = (1, 0)
CONVOLUTIONAL = tuple(n for n in slow_rules.COMPOSITES if n != "attn_lrp")
# The others differ in convolutions only, of which a transformer has none.
TRANSFORMING = ("zero", "epsilon", "epsilon_plus_flat", "attn_lrp")
BIASES = ("bias", "positions")


@dataclasses.dataclass(frozen=True)
class Recorded(rules.Composite):
    """What each layer was given and has handed on, by its scope, image by image."""

    seen: dict = dataclasses.field(default_factory=dict)

    def rule(self, node):
        chosen = super().rule(node)

        def run(layer, relevance):
            results = chosen(layer, relevance)
            (r,) = relevance
            total = sum(jnp.sum(a.reshape(len(r), -1), 1) for a in results)
            if layer.kind != "move":
                name = layer.scope.partition("/")[0] or f"{layer.kind} {len(self.seen)}"
                self.seen[name] = r, total
            return results

        return run


def named(function):
    """A layer in a scope of its name."""
    return lambda name, *arguments: jax.named_scope(name)(function)(*arguments)


@named
def conv(x, kernel, bias):
    layout = ("NHWC", "HWIO", "NHWC")
    x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
    return x + lax.broadcast_in_dim(bias, x.shape, (3,))


@named
def dense(x, weights, bias):
    z = x @ weights
    return z + lax.broadcast_in_dim(bias, z.shape, (z.ndim - 1,))


@named
def norm(x, scale, shift):
    x = x - jnp.mean(x, -1, keepdims=True)
    x = x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + slow_rules.NORM_EPSILON)
    scale, shift = (lax.broadcast_in_dim(v, x.shape, (2,)) for v in (scale, shift))
    return x * scale + shift


def cnn(w, x):
    x = jax.nn.relu(conv("conv1", x, w["conv1"], w["conv1_bias"]))
    with jax.named_scope("pool"):
        low, window = np.asarray(-np.inf, x.dtype), (1, 2, 2, 1)
        x = lax.reduce_window(x, low, lax.max, window, window, "VALID")
    branch = conv("conv2", x, w["conv2"], w["conv2_bias"])
    x = jax.nn.relu(named(jnp.add)("add", x, branch))
    return dense("head", x.reshape(x.shape[0], -1), w["head"], w["head_bias"])


def transformer(w, x):
    layer = lambda name, x: dense(name, x, w[name], w[f"{name}_bias"])
    normed = lambda name, x: norm(name, x, w[name], w[f"{name}_bias"])
    size, (n, height, width, channels) = slow_rules.PATCH, x.shape
    x = x.reshape(n, height // size, size, width // size, size, channels)
    x = x.swapaxes(2, 3).reshape(n, -1, size * size * channels)
    x = named(jnp.add)("positions", layer("embed", x), w["positions"][None])
    y = normed("norm1", x)
    q, k, v = (layer(name, y) for name in ("query", "key", "value"))
    scores = named(functools.partial(jnp.einsum, "nqd,nkd->nqk"))("scores", q, k)
    p = named(jax.nn.softmax)("softmax", scores * (q.shape[-1] ** -0.5))
    mixed = named(jnp.matmul)("mix", p, v)
    x = named(jnp.add)("add1", x, layer("project", mixed))
    y = layer("down", jax.nn.gelu(layer("up", normed("norm2", x)), approximate=False))
    x = named(jnp.add)("add2", x, y)
    x = named(functools.partial(jnp.mean, axis=1))("mean", normed("norm3", x))
    return layer("head", x)


def drawn(**shapes):
    """Weights by name, and biases; images in [0, 1] of two channels."""
    rng = np.random.default_rng(0)
    weights = {}
    for name, shape in shapes.items():
        if name == "positions":
            weights[name] = rng.normal(0, 0.3, shape)
        elif len(shape) == 1:
            weights[name] = 1 + rng.normal(0, 0.2, shape)
        else:
            weights[name] = rng.normal(0, (8 / np.prod(shape[:-1])) ** 0.5, shape)
        if name != "positions":
            weights[f"{name}_bias"] = rng.normal(0, 0.2, shape[-1])
    return weights


NETS = {
    "cnn": (
        cnn,
        slow_rules.cnn,
        drawn(conv1=(3, 3, 2, 3), conv2=(3, 3, 3, 3), head=(12, 3)),
        CONVOLUTIONAL,
    ),
    "transformer": (
        transformer,
        slow_rules.transformer,
        drawn(
            embed=(8, 4),
            positions=(4, 4),
            **dict.fromkeys(("norm1", "norm2", "norm3"), (4,)),
            **dict.fromkeys(("query", "key", "value", "project"), (4, 4)),
            up=(4, 6),
            down=(6, 4),
            head=(4, 3),
        ),
        TRANSFORMING,
    ),
}
IMAGES = np.random.default_rng(1).random((2, 4, 4, 2))
QUICK = ("epsilon_gamma_box", "epsilon_alpha2_beta1", "attn_lrp")
CASES = [
    pytest.param(net, c, marks=() if c in QUICK else pytest.mark.slow)
    for net, (*_, composites) in NETS.items()
    for c in composites
]


@functools.cache
def program(net, composite):
    """Weights and images to a map and its layers."""
    network = NETS[net][0]

    def run(weights, images):
        recorded = Recorded(**vars(rules.composite(composite)))
        logits_fn, labels = functools.partial(network, weights), jnp.array(LABELS)
        return lrp(logits_fn, images, labels, composite=recorded), recorded.seen

    return jax.jit(run)


@functools.cache
def found(net, composite, biases):
    """By the library, and by the reference for each image."""
    _, reference, weights, _ = NETS[net]
    if not biases:
        weights = {k: 0 * w if k.endswith(BIASES) else w for k, w in weights.items()}
    with toys.float64():
        maps, layers = program(net, composite)(weights, IMAGES)
    layers = {k: (np.asarray(r), np.asarray(s)) for k, (r, s) in layers.items()}
    accounts = [
        reference(weights, image, label, slow_rules.COMPOSITES[composite])
        for image, label in zip(IMAGES, LABELS, strict=True)
    ]
    return np.asarray(maps), layers, accounts


def assert_close(value, expected, tolerance=1e-9):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(("net", "composite"), CASES)
def test_the_map_and_the_relevance_of_every_layer(net, composite):
    maps, layers, accounts = found(net, composite, True)
    for i, account in enumerate(accounts):
        assert set(account.relevance) <= set(layers)
        assert_close(maps[i], account.image)
        for name, expected in account.relevance.items():
            assert_close(layers[name][0][i].reshape(expected.shape), expected)


@pytest.mark.parametrize(("net", "composite"), CASES)
def test_every_layer_hands_on_what_it_does_not_keep(net, composite):
    """Biases, stabilisers and the softmax's constant term keep what is stated."""
    maps, layers, accounts = found(net, composite, True)
    for i, account in enumerate(accounts):
        exact = 1e-5 * abs(account.score)
        for name, (given, handed_on) in layers.items():
            kept = account.kept.get(name, 0.0)
            assert given[i].sum() - handed_on[i] == pytest.approx(kept, abs=exact)
        everything = maps[i].sum() + sum(account.kept.values())
        assert everything == pytest.approx(account.score, abs=exact)


@pytest.mark.parametrize("composite", quick(CONVOLUTIONAL, *QUICK))
def test_without_biases_every_layer_sums_to_the_score(composite):
    """What reaches a layer and what goes past it, by the shortcut, is the score."""
    maps, layers, accounts = found("cnn", composite, False)
    for i, account in enumerate(accounts):
        exact = 1e-5 * abs(account.score)
        total = {name: given[i].sum() for name, (given, _) in layers.items()}
        for name in ("head", "add", "pool", "conv1"):
            assert total[name] == pytest.approx(account.score, abs=exact)
        direct = layers["pool"][0][i].sum() - layers["conv2"][1][i]
        assert direct + total["conv2"] == pytest.approx(account.score, abs=exact)
        assert maps[i].sum() == pytest.approx(account.score, abs=exact)
