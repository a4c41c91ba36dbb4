"""IDGI against its equation in a loop, and what it promises."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr.frequencies.scale_space import blurred

PARAMS = toys.init_smooth(jax.random.key(2))
model = functools.partial(toys.smooth_logits, PARAMS)
LABELS = jnp.array([1, 3])


@functools.cache
def functions(label):
    score = lambda x: model(x[None])[0, label]
    return jax.jit(score), jax.jit(jax.grad(score))


def loop(points, label):
    """``Σ (f(xₜ₊₁) - f(xₜ)) gₜ² / ‖gₜ‖²`` along points that are given."""
    score, slope = functions(int(label))
    total = np.zeros_like(points[0])
    for now, then in itertools.pairwise(points):
        g = np.asarray(slope(now))
        total += float(score(then) - score(now)) * g**2 / np.sum(g**2)
    return total


@pytest.mark.parametrize("path", quick(["straight", "blur"], "blur"))
@pytest.mark.slow
def test_against_a_loop(path):
    with toys.float64():
        images = toys.images(2, dtype=jnp.float64)
        given = {} if path == "blur" else {"baseline": 0.3}
        run = functools.partial(ja.idgi, model, num_steps=4, path=path, **given)
        maps = jax.jit(run)(images, LABELS)
        if path == "blur":
            points = blurred(images, jnp.array([50.0, 37.5, 25.0, 12.5, 0.0]), 50.0)
        else:
            shares = jnp.linspace(0, 1, 5)[:, None, None, None, None]
            points = 0.3 + shares * (images - 0.3)[None]
        for i, label in enumerate(LABELS):
            np.testing.assert_allclose(maps[i], loop(points[:, i], label), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["straight", "guided", "blur"])
def test_the_map_sums_to_the_change_of_the_score_in_two_steps(path):
    """Exactly: that is what sharing out changes gives, where gradients have an error."""
    with toys.float64():
        images = toys.images(2, dtype=jnp.float64)
        maps = ja.idgi(model, images, LABELS, num_steps=2, path=path)
        start = 0 * images
        if path == "blur":
            start = blurred(images, jnp.array([50.0]), 50.0)[0]
        change = (model(images) - model(start))[jnp.arange(2), LABELS]
    np.testing.assert_allclose(np.asarray(maps).sum((1, 2, 3)), change, rtol=1e-10)


@pytest.mark.slow
def test_of_a_linear_model_by_squared_weights_on_every_path():
    """``(f(x) - f(0)) w² / ‖w‖²``, whatever the way."""
    linear, weights = toys.linear()
    images = toys.images(2)
    squared = jnp.moveaxis(weights[..., LABELS], -1, 0) ** 2
    shares = squared / squared.sum((1, 2, 3), keepdims=True)
    change = (linear(images) - linear(0 * images))[jnp.arange(2), LABELS]
    for path in ("straight", "guided"):
        run = functools.partial(ja.idgi, linear, num_steps=3, path=path)
        maps = jax.jit(run)(images, LABELS)
        expected = shares * change[:, None, None, None]
        np.testing.assert_allclose(maps, expected, atol=2e-5)


def test_a_gradient_that_vanishes_has_no_share():
    flat = lambda x: jnp.tile(jnp.sum(x, (1, 2, 3))[:, None] * 0, (1, 4))
    assert (ja.idgi(flat, toys.images(2), LABELS, num_steps=2) == 0).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "curved"}, "path: unknown 'curved'; .*blur, guided, straight"),
        ({"path": "blur", "baseline": 0.5}, "baseline: expected none"),
        ({"num_steps": 0}, "num_steps: .*at least 1"),
        ({"baseline": jnp.zeros(3)}, "baseline: expected a number"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=message):
        ja.idgi(model, toys.images(2), LABELS, **given)
