"""What the pages on models show runs, the adapters of other libraries above all."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxattr as ja

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def blocks(page):
    text = (DOCS / page).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


IMAGES = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
LABELS = jnp.array([0, 3])


@pytest.fixture(scope="module")
def adapters():
    """All that the page on models of one's own defines."""
    names = {}
    exec("\n".join(blocks("your-model.md")), names)
    return names


@pytest.mark.slow
def test_the_page_of_models_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec("\n".join(blocks("models.md")), names)
    assert names["maps"].shape == (2, 64, 64, 3)
    np.testing.assert_allclose(names["same_maps"], names["maps"], rtol=1e-3, atol=1e-5)


def check(logits_fn, other):
    """It is explained, image by image; other weights do not retrace."""
    traces = []

    @jax.jit
    def explain(model, images, labels):
        traces.append(None)
        return ja.saliency(model, images, labels)

    maps = explain(logits_fn, IMAGES, LABELS)
    assert maps.shape == IMAGES.shape
    assert jnp.isfinite(maps).all()
    assert (jnp.abs(maps).max((1, 2, 3)) > 0).all()
    alone = explain(logits_fn, IMAGES[:1], LABELS[:1])
    np.testing.assert_allclose(maps[:1], alone, atol=1e-6)
    assert jnp.abs(explain(other, IMAGES, LABELS) - maps).max() > 1e-6
    assert len(traces) == 2


def check_cam(adapters, logits_fn):
    """The layer that the page names is found."""
    maps = adapters["cam_by_name"](logits_fn, IMAGES, LABELS)
    assert maps.shape == IMAGES.shape
    assert jnp.isfinite(maps).all()


def check_halves(adapters, halves, logits_fn):
    """They are the model, and Grad-CAM takes them."""
    features, head = halves
    np.testing.assert_allclose(head(features(IMAGES)), logits_fn(IMAGES), rtol=1e-5)
    maps = adapters["cam_of_halves"](features, head, IMAGES, LABELS)
    assert maps.shape == IMAGES.shape
    assert jnp.isfinite(maps).all()
    assert maps.max() > 0


def test_linen(adapters):
    from flax import linen

    class Network(linen.Module):
        def setup(self):
            self.conv = linen.Conv(4, (3, 3), strides=2)
            self.dense = linen.Dense(5)

        def features(self, x):
            return linen.relu(self.conv(x))

        def head(self, values):
            return self.dense(values.reshape(values.shape[0], -1))

        def __call__(self, x):
            return self.head(self.features(x))

    network = Network()
    init = jax.jit(network.init)
    variables = [init(jax.random.key(seed), IMAGES) for seed in range(2)]
    models = [adapters["from_linen"](network, v) for v in variables]
    check(*models)
    check_cam(adapters, models[0])
    halves = adapters["linen_halves"](network, variables[0])
    check_halves(adapters, halves, models[0])


def test_nnx(adapters):
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.dense = nnx.Linear(64, 5, rngs=rngs)

        def features(self, x):
            return self.dropout(nnx.relu(self.conv(x)))

        def head(self, values):
            return self.dense(values.reshape(values.shape[0], -1))

        def __call__(self, x):
            return self.head(self.features(x))

    networks = [Network(nnx.Rngs(seed)) for seed in range(2)]
    check(*map(adapters["from_nnx"], networks))
    model = adapters["from_nnx"](networks[0])
    check_cam(adapters, model)
    check_halves(adapters, adapters["nnx_halves"](networks[0]), model)
    assert not networks[0].dropout.deterministic, "the caller's module is as it was"


@pytest.mark.slow
def test_equinox(adapters):
    import equinox as eqx

    class Network(eqx.Module):
        conv: eqx.nn.Conv2d
        dropout: eqx.nn.Dropout
        dense: eqx.nn.Linear

        def __init__(self, key):
            keys = jax.random.split(key)
            self.conv = eqx.nn.Conv2d(3, 4, 3, stride=2, padding=1, key=keys[0])
            self.dropout = eqx.nn.Dropout(0.5)
            self.dense = eqx.nn.Linear(64, 5, key=keys[1])

        def __call__(self, image):  # one image, channels first
            return self.rest(self.conv(image))

        def rest(self, values):
            x = self.dropout(jax.nn.relu(values))
            return self.dense(x.reshape(-1))

    networks = [Network(jax.random.key(seed)) for seed in range(2)]
    check(*map(adapters["from_equinox"], networks))
    assert not networks[0].dropout.inference, "the caller's module is as it was"
    network = eqx.nn.inference_mode(networks[0])
    halves = adapters["equinox_halves"](network.conv, network.rest)
    maps = adapters["cam_of_halves"](*halves, IMAGES, LABELS)
    # By hand, channels first.
    values = jax.vmap(network.conv)(jnp.moveaxis(IMAGES, -1, 1))
    score = lambda v: jax.vmap(network.rest)(v)[jnp.arange(2), LABELS].sum()
    weights = jax.grad(score)(values).mean((2, 3), keepdims=True)
    cam = jax.nn.relu((weights * values).sum(1))
    cam = jax.image.resize(cam, (2, 8, 8), "bilinear")
    assert cam.max() > 0
    np.testing.assert_allclose(maps[..., 0], cam, atol=1e-6)
    # By name, under the name of a copy with the channels last.
    model = adapters["from_equinox"](networks[0])
    shapes = ja.inside.names(model, IMAGES[:1])
    (name,) = [n for n, v in shapes.items() if n.startswith("conv_general")]
    named = adapters["cam_channels_first"](model, name, IMAGES, LABELS)
    np.testing.assert_allclose(named, maps, atol=1e-6)


@pytest.mark.slow
def test_keras(adapters, monkeypatch, tmp_path):
    # It looks at them when it is imported, and writes a file of settings.
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="stem"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(5),
        ]
    )
    with jax.numpy_rank_promotion("allow"):  # Keras relies on it
        before = adapters["from_keras"](network)
        for variable in network.trainable_variables:
            variable.assign(2 * variable.value + 0.1)
        after = adapters["from_keras"](network)
        check(before, after)
        check_halves(adapters, adapters["keras_halves"](network, "stem"), after)
