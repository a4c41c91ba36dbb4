import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from jaxattr import _random, gradients, perturbations, scores

KEYS = jax.random.split(jax.random.key(0), 3)
PARAMS = toys.init_smooth(jax.random.key(2))
score_fn = scores.stacked_rows(
    scores.logit, functools.partial(toys.smooth_logits, PARAMS), toys.labels()
)


@pytest.mark.slow
def test_gradient_of_stacked_points_is_each_point_s_own():
    points = jnp.stack([toys.images(), 0.5 * toys.images()])
    stacked = gradients.gradient(score_fn, points)
    for i in range(2):
        alone = gradients.gradient(score_fn, points[i])
        np.testing.assert_allclose(stacked[i], alone, rtol=1e-5, atol=1e-6)


def test_averaged_gradient_is_the_mean_over_its_draws():
    """Replayed: sample n of an image folds its key with n; place and map split it."""
    at, through = perturbations.gaussian(0.2), perturbations.input_diversity(0.5, 1.9)
    images = toys.images()
    gradient_fn = gradients.averaged_gradient(
        score_fn, at=at, through=through, num_samples=3, samples_per_call=2
    )

    @jax.jit
    def replay(keys, images):
        total = 0
        for n in range(3):
            at_keys, through_keys = _random.split(_random.fold_in(keys, n), 2)
            z = at(images)(at_keys)
            mapped = lambda z, keys=through_keys: score_fn(through(z)(keys))
            total += gradients.gradient(mapped, z)
        return total / 3

    actual = jax.jit(gradient_fn)(KEYS, images)
    np.testing.assert_allclose(actual, replay(KEYS, images), rtol=1e-5, atol=1e-6)


def test_the_place_is_not_differentiated_but_the_map_is():
    """At z = 2x the gradient of z² is 4x; through z ↦ 2z it is 8z."""
    repeat = lambda x, keys: jnp.broadcast_to(x, keys.shape + x.shape[-3:])
    double = lambda x: lambda keys: 2 * repeat(x, keys)
    same = lambda x: lambda keys: repeat(x, keys)
    square = lambda points: jnp.sum(points**2, axis=(-3, -2, -1))
    x = toys.images()
    run = functools.partial(gradients.averaged_gradient, square, num_samples=1)
    np.testing.assert_allclose(run(at=double)(KEYS, x), 4 * x, rtol=1e-6)
    np.testing.assert_allclose(run(at=same, through=double)(KEYS, x), 8 * x, rtol=1e-6)
