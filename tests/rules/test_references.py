"""``lrp`` of a small CNN and a one-block transformer, against numpy and conservation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax import lax
from rules import numpy_reference as reference

from jaxattr import rules, scores
from jaxattr.interpreter.backward import pull_back

LABELS = np.array([1, 3])
NONE = rules.Composite()


def cnn(weights, x):
    def convolution(x, kernel, bias):
        numbers = ("NHWC", "HWIO", "NHWC")
        z = lax.conv_general_dilated(
            x, jnp.asarray(kernel), (1, 1), "SAME", dimension_numbers=numbers
        )
        return z + jnp.asarray(bias)[None, None, None]

    x = jax.nn.relu(convolution(x, weights["conv1"], weights["bias1"]))
    window = (1, 2, 2, 1)
    x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
    x = jax.nn.relu(x + convolution(x, weights["conv2"], weights["bias2"]))
    return x.reshape(len(x), -1) @ weights["dense"] + jnp.asarray(weights["bias"])[None]


def transformer(weights, x):
    def dense(name, x):
        shift = jnp.asarray(weights[f"{name}_bias"])
        return x @ weights[name] + shift.reshape((1,) * (x.ndim - 1) + (-1,))

    def norm(name, x):
        centred = x - jnp.mean(x, -1, keepdims=True)
        variance = jnp.mean(centred**2, -1, keepdims=True)
        x = centred * lax.rsqrt(variance + reference.NORM_EPSILON)
        scale, shift = (
            jnp.asarray(weights[n])[None, None] for n in (name, f"{name}_bias")
        )
        return x * scale + shift

    n, tokens = len(x), reference.TOKENS
    x = dense("embed", x.reshape(n, tokens, -1))
    normed = norm("norm1", x)
    query, key, value = (
        dense(name, normed).reshape(n, tokens, reference.HEADS, -1)
        for name in ("query", "key", "value")
    )
    found = jnp.einsum("nqhd,nkhd->nhqk", query, key) * query.shape[-1] ** -0.5
    mixed = jnp.einsum("nhqk,nkhd->nqhd", jax.nn.softmax(found), value)
    x = x + dense("project", mixed.reshape(x.shape))
    hidden = jax.nn.gelu(dense("expand", norm("norm2", x)), approximate=False)
    x = x + dense("contract", hidden)
    return dense("head", jnp.mean(x, 1))


NETWORKS = {
    "cnn": (cnn, reference.cnn_weights, reference.cnn, (2, 6, 6, 2)),
    "transformer": (
        transformer,
        reference.transformer_weights,
        reference.transformer,
        (2, 4, 4, 2),
    ),
}
# Others differ in convolutions only, of which the transformer has none.
OF_DENSE = ("zero", "epsilon", "epsilon_plus_flat", "attn_lrp")
CASES = [
    *(("cnn", name) for name in rules.COMPOSITES),
    *(("transformer", name) for name in OF_DENSE),
]


def explained(network, names):
    """A function to each composite's maps, and what every layer was given and gave."""
    composites = {name: rules.composite(name) for name in names}
    kinds = {}

    @jax.jit
    def run(weights, x):
        score = scores.logit(lambda x: network(weights, x), jnp.asarray(LABELS))
        return {name: one(score, x, name) for name in names}

    def one(score, x, name):
        sums = []
        kinds[name] = []

        def recorded(node):
            rule = composites[name].rule(node)

            def rule_and_record(layer, given):
                results = rule(layer, given)
                sums.append((of_images(given), of_images(results)))
                kinds[name].append(node.kind)
                return results

            return rule_and_record

        maps = pull_back(score, [x], lambda s: s, recorded, composites[name].reading)
        return maps, sums

    def of_images(arrays):
        return sum(jnp.sum(a) for a in arrays)

    return run, kinds


@pytest.mark.parametrize("network", NETWORKS)
def test_numpy_reference_and_conservation(network):
    """With biases the maps; without them what every layer hands on, for each composite."""
    function, draw, slow, shape = NETWORKS[network]
    names = [name for kind, name in CASES if kind == network]
    images = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    weights, without = (draw(1, with_bias) for with_bias in (True, False))
    with toys.float64():
        run, kinds = explained(function, names)
        found, plain = jax.device_get([run(w, images) for w in (weights, without)])
    for name in names:
        expected, handed = (
            [slow(w, image, label, name) for image, label in zip(images, LABELS)]
            for w in (weights, without)
        )
        maps = np.stack([e.images for e in expected])
        np.testing.assert_allclose(
            found[name][0], maps, rtol=0, atol=1e-9 * np.abs(maps).max(), err_msg=name
        )
        layers = {k: sum(e.layers[k] for e in handed) for k in handed[0].layers}
        # The constant term of the softmax's expansion keeps its share, as a bias does.
        kept = layers.pop("softmax keeps", 0.0)
        total, scale = layers["score"], sum(abs(e.score) for e in handed)
        below = ("tokens", "images") if network == "transformer" else ()
        for layer, relevance in layers.items():
            behind = kept if layer in below else 0.0
            assert abs(relevance + behind - total) < 1e-5 * scale, (name, layer)
        maps, sums = plain[name]
        for kind, (given, got) in zip(kinds[name], sums, strict=True):
            lost = kept if kind == "softmax" else 0.0
            assert abs(given - got - lost) < 1e-5 * scale, (name, kind)
        assert abs(np.sum(maps) + kept - total) < 1e-5 * scale, name
