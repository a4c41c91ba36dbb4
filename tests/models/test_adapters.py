"""What ``docs/models.md`` shows runs, the adapters of other libraries above all."""

import os
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxattr as ja

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "models.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE
)
IMAGES = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
LABELS = jnp.array([0, 3])


@pytest.fixture(scope="module")
def adapters():
    """The functions of the last block."""
    from flax import nnx

    names = {"jax": jax, "jnp": jnp, "nnx": nnx}
    exec(BLOCKS[-1], names)
    return names


@pytest.mark.slow
def test_the_other_blocks_run():
    names = {}
    exec("\n".join(BLOCKS[:-1]), names)
    assert names["maps"].shape == (2, 64, 64, 3)


def check(logits_fn, other=None):
    """It is explained, image by image; new weights, if it takes any, do not retrace."""
    traces = []

    @jax.jit
    def explain(model, images, labels):
        traces.append(None)
        return ja.saliency(model, images, labels)

    if other is None:
        explain = lambda model, x, y: ja.saliency(model, x, y)
    maps = explain(logits_fn, IMAGES, LABELS)
    assert maps.shape == IMAGES.shape
    assert jnp.isfinite(maps).all()
    assert (jnp.abs(maps).max((1, 2, 3)) > 0).all()
    alone = explain(logits_fn, IMAGES[:1], LABELS[:1])
    np.testing.assert_allclose(maps[:1], alone, atol=1e-6)
    if other is not None:
        assert jnp.abs(explain(other, IMAGES, LABELS) - maps).max() > 1e-6
        assert len(traces) == 2


def test_linen(adapters):
    from flax import linen

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.relu(linen.Conv(4, (3, 3), strides=2)(x))
            return linen.Dense(5)(x.reshape(x.shape[0], -1))

    network = Network()
    init = jax.jit(network.init)
    check(
        *(
            adapters["from_linen"](network, init(jax.random.key(seed), IMAGES))
            for seed in range(2)
        )
    )


def test_nnx(adapters):
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.dense = nnx.Linear(64, 5, rngs=rngs)

        def __call__(self, x):
            x = self.dropout(nnx.relu(self.conv(x)))
            return self.dense(x.reshape(x.shape[0], -1))

    check(*(adapters["from_nnx"](Network(nnx.Rngs(seed))) for seed in range(2)))


def test_equinox(adapters):
    eqx = pytest.importorskip("equinox")

    class Network(eqx.Module):
        conv: eqx.nn.Conv2d
        dense: eqx.nn.Linear

        def __init__(self, key):
            keys = jax.random.split(key)
            self.conv = eqx.nn.Conv2d(3, 4, 3, stride=2, padding=1, key=keys[0])
            self.dense = eqx.nn.Linear(64, 5, key=keys[1])

        def __call__(self, image):  # one image, channels first
            return self.dense(jax.nn.relu(self.conv(image)).reshape(-1))

    check(adapters["from_equinox"](Network(jax.random.key(0))))


def test_keras(adapters):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "jax":
        pytest.skip("Keras runs on another backend")
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )
    with jax.numpy_rank_promotion("allow"):  # Keras relies on it
        check(adapters["from_keras"](network))
