"""A sample of ``test_protocol`` on the zoo, in float32: its whole is in the slow suite."""

import jax
import jax.numpy as jnp
import pytest
import small_zoo
from quick import quick
from subjects import KEY, METHODS, SUBJECTS, options


@pytest.fixture(scope="module", autouse=True)
def catalog():
    with small_zoo.in_catalog():
        yield


@pytest.mark.parametrize("model", quick(["small_resnet", "small_vit"], "small_resnet"))
@pytest.mark.parametrize(
    "name", quick(["expected_gradients", "grad_cam", "guided_ig"], "grad_cam")
)
@pytest.mark.slow
def test_promises(name, model):
    subject = SUBJECTS[model]()
    images = subject.images(2)
    labels = subject.labels(images)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(2))
    given = options(subject, name, dtype=jnp.float32)

    @jax.jit
    def run(params, images, labels, key):
        model = subject.model(params)
        return METHODS[name].explain(model, images, labels, **given | {"key": key})

    maps = run(subject.params, images, labels, keys)
    assert maps.shape == images.shape
    assert maps.dtype == images.dtype
    assert bool(jnp.isfinite(maps).all())
    scale = float(jnp.abs(maps).max())
    assert scale > 0

    other = run(jax.tree.map(lambda p: 2 * p, subject.params), images, labels, keys)
    assert run._cache_size() == 1, "new weights do not compile again"
    assert float(jnp.abs(other - maps).max()) > 0

    alone = run(subject.params, images[1:], labels[1:], keys[1:])
    # Rounding may sort a pixel or two the other way.
    assert float(jnp.abs(alone - maps[1:]).mean()) < 1e-3 * scale
