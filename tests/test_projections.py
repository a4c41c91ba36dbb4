import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from jaxattr import projections

CENTER = toys.images(2)
FAR = CENTER + jax.random.normal(jax.random.key(0), CENTER.shape)
PROJECTIONS = {
    "box": projections.box,
    "linf": lambda x: projections.linf_ball(x, CENTER, 0.1),
    "l2": lambda x: projections.l2_ball(x, CENTER, 0.1),
}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_idempotent_and_identity_inside(name):
    project = PROJECTIONS[name]
    once = project(FAR)
    np.testing.assert_allclose(project(once), once, atol=1e-7)
    np.testing.assert_array_equal(project(CENTER), CENTER)


def test_budgets_are_held():
    linf = projections.linf_ball(FAR, CENTER, 0.1) - CENTER
    assert np.abs(linf).max() <= 0.1 + 1e-7
    l2 = projections.l2_ball(FAR, CENTER, 0.1) - CENTER
    norms = np.sqrt((np.asarray(l2) ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(norms, 0.1, rtol=1e-5)
    direction = np.asarray(FAR - CENTER)
    cosine = (direction * l2).sum() / np.sqrt((direction**2).sum() * (l2**2).sum())
    assert cosine > 0.99
    clipped = projections.box(FAR, (0.2, 0.7))
    assert (clipped.min(), clipped.max()) == (np.float32(0.2), np.float32(0.7))


def test_l2_ball_has_a_gradient_at_its_centre():
    gradient = jax.grad(lambda x: jnp.sum(projections.l2_ball(x, CENTER, 0.1)))(CENTER)
    np.testing.assert_allclose(gradient, 1.0)
