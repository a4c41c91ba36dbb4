"""The promises of every explainer, kept on a convolutional network and a transformer.

``test_protocol`` has them in full, on a smaller model.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from test_protocol import SMALL

import jaxattr as ja
from jaxattr.evaluation import registry

pytestmark = pytest.mark.slow

METHODS = registry.methods()
KEY = jax.random.key(3)
IMAGES = jax.random.uniform(
    jax.random.key(7), (4, small_zoo.SIZE, small_zoo.SIZE, 3), minval=0.1, maxval=0.9
)


@pytest.fixture(scope="module", autouse=True)
def catalog():
    with small_zoo.in_catalog():
        yield


def load(model, seed=0):
    # Smooth, so that no step is decided by rounding.
    return small_zoo.load(model, seed, activation=jax.nn.softplus)


def compiled(name, **overrides):
    def run(classifier, images, labels, key):
        given = SMALL.get(name, {}) | {"key": key} | overrides
        if "search" in given:  # farther than on the smaller model
            given["search"] = ja.attacks.pgd_l2(radii=(16.0,), num_steps=4)
        if METHODS[name].needs_references:
            given["references"] = IMAGES[:2, ::-1]
        return METHODS[name].explain(classifier, images, labels, **given)

    return jax.jit(run)


def assert_close(actual, expected):
    scale = np.abs(expected).max()
    assert np.abs(actual - expected).mean() < 1e-3 * scale


@pytest.mark.parametrize("model", ["small_resnet", "small_vit"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_promises(name, model):
    classifier = load(model)
    labels = jnp.argmax(classifier(IMAGES), -1)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(len(IMAGES)))
    run = compiled(name)
    maps = run(classifier, IMAGES, labels, keys)
    assert maps.shape == IMAGES.shape
    assert maps.dtype == IMAGES.dtype
    assert bool(jnp.isfinite(maps).all())
    assert float(jnp.abs(maps).max()) > 0

    traces = run._cache_size()
    other = run(load(model, seed=1), IMAGES, labels, keys)
    assert run._cache_size() == traces, "new weights do not compile again"
    assert float(jnp.abs(other - maps).max()) > 0

    alone = run(classifier, IMAGES[1:2], labels[1:2], keys[1:2])
    assert_close(alone, maps[1:2])
    several = compiled(name, batch_size=3)(classifier, IMAGES, labels, keys)
    assert_close(several, maps)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("model", ["small_resnet", "small_vit"])
@pytest.mark.parametrize("name", ["integrated_gradients", "attexplore"])
def test_sharded_equals_unsharded(name, model, axis_type):
    classifier, labels = load(model), jnp.arange(4)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, labels)
    expected = compiled(name)(classifier, IMAGES, labels, keys)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    rows = NamedSharding(mesh, P("data"))
    with jax.set_mesh(mesh):
        spread = (jax.device_put(a, rows) for a in (IMAGES, labels, keys))
        whole = jax.device_put(classifier, NamedSharding(mesh, P()))
        maps = compiled(name)(whole, *spread)
    assert maps.sharding.spec[0] == "data"
    assert_close(maps, expected)
