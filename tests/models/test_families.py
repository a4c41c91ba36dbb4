"""Small networks of the zoo's parts: derivatives, rows, shardings, half precision."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick
from small_zoo import SIZE, in_catalog, load

# The others take longer to compile.
NAMES = [
    "small_vit",
    pytest.param("small_resnet", marks=pytest.mark.slow),
    pytest.param("small_maxvit", marks=pytest.mark.slow),
    pytest.param("small_swin", marks=pytest.mark.slow),
    pytest.param("small_swin_v2", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", autouse=True)
def catalog():
    with in_catalog():
        yield


def draw(n=2, dtype=jnp.float32):
    return jax.random.uniform(jax.random.key(1), (n, SIZE, SIZE, 3), dtype)


@jax.jit
def both(classifier, images):
    gradient = jax.grad(lambda x: jnp.sum(classifier(x)[:, 1]))(images)
    return classifier(images), gradient


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_rows_are_independent(name):
    """Under ``vmap`` an image is alone."""
    classifier, images = load(name), draw()
    logits, gradient = both(classifier, images)
    assert logits.shape == (2, 5)
    assert jnp.std(logits) > 1e-3
    alone = jax.jit(jax.vmap(both, (None, 0)))(classifier, images[:, None])
    alone = jax.tree.map(lambda x: x[:, 0], alone)
    chex.assert_trees_all_close(alone, (logits, gradient), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_against_finite_differences(name):
    """With a smooth activation; forward, reverse, and one over the other."""
    with jax.enable_x64(True):
        classifier = load(name, activation=jax.nn.softplus)
        images = draw(1, jnp.float64)
        direction = jnp.cos(100 * images)
        score = jax.jit(lambda x: classifier(x)[0, 2])

        @jax.jit
        def derivatives(x):
            slope = lambda x: jnp.vdot(jax.grad(score)(x), direction)
            forward = jax.jvp(score, (x,), (direction,))[1]
            return slope(x), forward, jax.jvp(slope, (x,), (direction,))[1]

        step = 1e-4
        before, here, after = (score(images + s * direction) for s in (-step, 0, step))
        first, forward, second = derivatives(images)
        expected = (after - before) / (2 * step)
        np.testing.assert_allclose((first, forward), expected, rtol=1e-4)
        expected = (after - 2 * here + before) / step**2
        np.testing.assert_allclose(second, expected, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "axis_type", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
@pytest.mark.parametrize("name", NAMES)
def test_sharded_equals_unsharded(name, axis_type):
    classifier, images = load(name), draw(4)
    expected = both(classifier, images)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        spread = jax.device_put(images, NamedSharding(mesh, P("data")))
        whole = jax.device_put(classifier, NamedSharding(mesh, P()))
        got = both(whole, spread)
    assert got[0].sharding.spec[0] == "data"
    chex.assert_trees_all_close(
        jax.device_get(got), jax.device_get(expected), atol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name):
    """The gradient too, with no implicit promotion on the way."""
    exact, exact_gradient = both(load(name), draw())
    got, gradient = both(load(name, dtype=jnp.bfloat16), draw())
    assert got.dtype == gradient.dtype == jnp.float32
    assert 1e-6 < np.abs(got - exact).max() < 0.1 * np.abs(exact).max()
    error = np.linalg.norm(gradient - exact_gradient)
    assert 1e-6 < error < 0.2 * np.linalg.norm(exact_gradient)


@pytest.mark.slow
def test_images_of_another_size():
    with pytest.raises(ValueError, match="images: expected 16x16 pixels"):
        load("small_vit")(jnp.zeros((1, 20, 16, 3)))
    with pytest.raises(ValueError, match="images: .*divide into 2x2 partitions"):
        load("small_maxvit")(jnp.zeros((1, 20, 20, 3)))
