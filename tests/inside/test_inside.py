"""Names, values and replacements inside any function, and what is built on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo
import toys
from flax import linen, nnx
from jax.ad_checkpoint import checkpoint_name
from quick import quick

import jaxattr as ja

PARAMS = toys.init_smooth(jax.random.key(0))
X = toys.images(2)
LABELS = toys.labels(2)


def model(x):
    with jax.named_scope("encoder"):
        with jax.named_scope("hidden"):
            hidden = jnp.tanh(x.reshape(x.shape[0], -1) @ PARAMS["hidden"])
        hidden = checkpoint_name(2 * hidden, "doubled")
    return hidden @ PARAMS["head"]


def hidden_of(x):
    return np.tanh(np.asarray(x).reshape(len(x), -1) @ np.asarray(PARAMS["hidden"]))


def test_names_and_shapes_in_order():
    found = ja.inside.names(model, jax.ShapeDtypeStruct(X.shape, X.dtype))
    assert list(found) == [
        *("dot_general.0", "encoder/hidden", "doubled", "encoder", "dot_general.1"),
    ]
    assert found["encoder/hidden"].shape == (2, 16)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_values(transform):
    run = transform(ja.inside.capture(model, ["doubled", "encoder/hidden"]))
    logits, values = run(X)
    np.testing.assert_allclose(logits, model(X), rtol=1e-6)
    np.testing.assert_allclose(values["encoder/hidden"], hidden_of(X), rtol=1e-5)
    np.testing.assert_allclose(values["doubled"], 2 * hidden_of(X), rtol=1e-5)


def test_replacements():
    """By a value, by a function, and several at once, of which the later sees the first."""
    changed = ja.inside.replace(
        model, {"encoder/hidden": jnp.ones((2, 16)), "doubled": lambda v: v + 1}
    )
    expected = jnp.full((2, 16), 3.0) @ PARAMS["head"]
    np.testing.assert_allclose(jax.jit(changed)(X), expected, rtol=1e-5)


def test_unknown_names_and_other_shapes():
    with pytest.raises(ValueError, match=r"name: unknown 'encoder/hiden'.*mean enc"):
        ja.inside.capture(model, ["encoder/hiden"])(X)
    with pytest.raises(ValueError, match=r"doubled: expected a value \(2, 16\), got"):
        ja.inside.replace(model, {"doubled": jnp.ones(3)})(X)
    with pytest.raises(ValueError, match="name: unknown 'no'"):
        ja.grad_cam(model, X, LABELS, layer="no")


def test_a_neuron_as_a_score():
    score = ja.inside.neuron("encoder/hidden", (3,))
    maps = ja.saliency(model, X, LABELS, score=score)
    slope = 1 - hidden_of(X)[:, 3] ** 2
    expected = slope[:, None] * np.asarray(PARAMS["hidden"])[None, :, 3]
    np.testing.assert_allclose(maps, expected.reshape(X.shape), rtol=1e-4, atol=1e-6)
    channel = ja.inside.neuron("encoder/hidden", 3)
    again = ja.saliency(model, X, LABELS, score=channel)
    np.testing.assert_allclose(again, maps, rtol=1e-6)
    sums = ja.deeplift(model, X, LABELS, score=score).sum((1, 2, 3))
    np.testing.assert_allclose(sums, hidden_of(X)[:, 3], rtol=1e-5)


def test_layer_attributions():
    """Against their equations; the head is linear in the layer."""
    options = {"layer": "encoder/hidden"}
    weights = 2 * np.asarray(PARAMS["head"]).T[np.asarray(LABELS)]
    found = ja.layer_gradient_x_activation(model, X, LABELS, **options)
    np.testing.assert_allclose(found, weights * hidden_of(X), rtol=1e-5)
    found = ja.layer_integrated_gradients(
        model, X, LABELS, **options, baseline=0.5, num_steps=3, batch_size=5
    )
    delta = hidden_of(X) - hidden_of(np.full(X.shape, 0.5))
    np.testing.assert_allclose(found, weights * delta, rtol=1e-4, atol=1e-6)
    found = ja.internal_influence(model, X, LABELS, **options, num_steps=3)
    np.testing.assert_allclose(found, weights, rtol=1e-5)


def test_influence_is_taken_along_the_line():
    def squares(x):
        with jax.named_scope("layer"):
            x = 3 * x
        total = jnp.sum(x**2, (1, 2, 3))[:, None]
        return jnp.concatenate([total, -total], -1)

    found = ja.internal_influence(squares, X, 0 * LABELS, layer="layer", num_steps=4)
    np.testing.assert_allclose(found, 3 * X, rtol=1e-5)  # the mean of 6 α x


@pytest.mark.slow
def test_layers_of_the_zoo_and_grad_cam_without_halves():
    with small_zoo.in_catalog():
        classifier = small_zoo.load("small_resnet")
        images = toys.images(2, small_zoo.SIZE, small_zoo.SIZE)
        found = ja.inside.names(classifier, images)
        assert set(classifier.layers) <= set(found)
        captured = ja.inside.capture(classifier, ["layer2.0"])(images)[1]["layer2.0"]
        features, _ = classifier.split("layer2.0")
        np.testing.assert_allclose(captured, features(images), rtol=1e-5, atol=1e-6)
        split = ja.grad_cam(classifier.split("layer2.0"), images, LABELS)
        named = ja.grad_cam(lambda x: classifier(x), images, LABELS, layer="layer2.0")
        np.testing.assert_allclose(named, split, rtol=1e-4, atol=1e-6)


WEIGHTS = {
    "conv": np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype("f4"),
    "scale": np.array([1.0, -0.5, 2.0, 0.7], "f4"),
    "dense": np.random.default_rng(1).normal(size=(4, 3)).astype("f4"),
}


def in_linen():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Conv(4, (3, 3), padding="SAME")(x)
            x = linen.BatchNorm(use_running_average=True)(x)
            x = linen.relu(x)
            x = linen.max_pool(x, (2, 2), (2, 2))
            return linen.Dense(3)(jnp.mean(x, (1, 2)))

    zeros, ones = np.zeros(4, "f4"), np.ones(4, "f4")
    variables = {
        "params": {
            "Conv_0": {"kernel": WEIGHTS["conv"], "bias": zeros + 0.1},
            "BatchNorm_0": {"scale": WEIGHTS["scale"], "bias": zeros},
            "Dense_0": {"kernel": WEIGHTS["dense"], "bias": np.zeros(3, "f4")},
        },
        "batch_stats": {"BatchNorm_0": {"mean": zeros + 0.2, "var": ones}},
    }
    return lambda x: Net().apply(variables, x)


def in_nnx():
    rngs = nnx.Rngs(0)
    conv = nnx.Conv(3, 4, (3, 3), padding="SAME", rngs=rngs)
    norm = nnx.BatchNorm(4, use_running_average=True, rngs=rngs)
    dense = nnx.Linear(4, 3, rngs=rngs)
    conv.kernel[...], conv.bias[...] = WEIGHTS["conv"], jnp.full(4, 0.1)
    norm.scale[...], norm.mean[...] = WEIGHTS["scale"], jnp.full(4, 0.2)
    dense.kernel[...] = WEIGHTS["dense"]

    def net(x):
        x = nnx.relu(norm(conv(x)))
        return dense(jnp.mean(nnx.max_pool(x, (2, 2), (2, 2)), (1, 2)))

    return net


def in_equinox():
    equinox = pytest.importorskip("equinox")
    key = jax.random.key(0)
    conv = equinox.nn.Conv2d(3, 4, 3, padding=1, key=key)
    kernel, bias = WEIGHTS["conv"].transpose(3, 2, 0, 1), jnp.full((4, 1, 1), 0.1)
    conv = equinox.tree_at(lambda c: (c.weight, c.bias), conv, (kernel, bias))
    dense = equinox.nn.Linear(4, 3, key=key)
    dense = equinox.tree_at(
        lambda d: (d.weight, d.bias), dense, (WEIGHTS["dense"].T, jnp.zeros(3))
    )
    pool = equinox.nn.MaxPool2d(2, 2)
    factor = WEIGHTS["scale"] / np.sqrt(1 + 1e-5).astype("f4")

    def one(image):
        x = conv(image.transpose(2, 0, 1))
        x = (x - 0.2) * factor[:, None, None]
        return dense(jnp.mean(pool(jax.nn.relu(x)), (1, 2)))

    return jax.vmap(one)


def in_keras():
    import keras

    net = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(epsilon=1e-5),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    conv, norm, *_, dense = net.layers
    zeros, ones = np.zeros(4, "f4"), np.ones(4, "f4")
    conv.set_weights([WEIGHTS["conv"], zeros + 0.1])
    norm.set_weights([WEIGHTS["scale"], zeros, zeros + 0.2, ones])
    dense.set_weights([WEIGHTS["dense"], zeros[:3]])

    def call(x):
        with jax.numpy_rank_promotion("allow"):  # Keras relies on it
            return net(x, training=False)

    return call


# Keras takes seconds to import.
@pytest.mark.parametrize(
    "framework",
    quick([in_nnx, in_equinox, in_keras], in_nnx),
)
@pytest.mark.parametrize(
    "composite",
    quick(
        ["epsilon_plus_flat", "epsilon_gamma_box", "epsilon_alpha2_beta1"],
        "epsilon_gamma_box",
    ),
)
def test_the_same_map_whatever_the_network_is_written_in(
    framework, composite, monkeypatch, tmp_path
):
    # Keras looks at them when it is imported, and writes a file of settings.
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    images = toys.images(2, 8, 8)
    maps, expected = (
        jax.jit(lambda x, y: ja.lrp(net, x, y, composite=composite))(images, LABELS)
        for net in (framework(), in_linen())
    )
    scale = float(jnp.abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(maps / scale, expected / scale, rtol=0, atol=1e-5)
