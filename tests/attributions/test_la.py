"""LA against its equations in a loop, and against what the released code computed."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import released_network
import toys

import jaxattr as ja

GOLDENS = pathlib.Path(__file__).parent / "goldens"
PARAMS = toys.init_smooth(jax.random.key(2))
model = functools.partial(toys.smooth_logits, PARAMS)


def test_maps_of_the_released_code():
    """Images one by one, the classes that it drew and used."""
    golden = np.load(GOLDENS / "la.npz")
    with toys.float64():
        hidden, head = map(jnp.asarray, released_network.weights())
        network = lambda x: jnp.tanh(x.reshape(len(x), -1) @ hidden) @ head
        images = jnp.asarray(released_network.images())
        labels = jnp.argmax(network(images), -1)
        maps = ja.la(network, images, labels, targets=golden["targets"], num_steps=4)
        np.testing.assert_allclose(maps, golden["maps"], rtol=0, atol=1e-12)


@functools.cache
def gradient_of(label):
    score = lambda x: ja.scores.probability(model, jnp.array([label]))(x[None])[0]
    return jax.jit(jax.grad(score))


def loop(x0, label, targets, *, num_steps, spatial_range, bounds):
    total = np.zeros_like(x0)
    for sign, followed in [*((1, t) for t in targets), (-1, label)]:
        x = x0
        for _ in range(num_steps):
            step = sign * x0 / spatial_range * np.sign(gradient_of(followed)(x))
            moved = np.clip(x0 + step, *bounds)
            total -= np.asarray(gradient_of(label)(x)) * (moved - x0)
            x = moved
    return total


@pytest.mark.slow
def test_against_a_loop_with_drawn_targets_and_bounds_that_bind():
    """The classes but the label are drawn, so all three of them are."""
    with toys.float64():
        images = toys.images(2, dtype=jnp.float64).at[0, 0, 0, 0].set(0)
        labels = jnp.argmax(model(images), -1)
        given = {"num_steps": 3, "spatial_range": 4.0, "bounds": (0.0, 0.9)}
        key = jax.random.key(5)
        run = functools.partial(ja.la, model, key=key, num_targets=3, **given)
        maps = jax.jit(run)(images, labels)
        assert maps[0, 0, 0, 0] == 0, "a black value does not move"
        for image, label, actual in zip(images, labels, maps, strict=True):
            others = [k for k in range(4) if k != label]
            expected = loop(np.asarray(image), int(label), others, **given)
            np.testing.assert_allclose(actual, expected, atol=1e-12)


@pytest.mark.slow
def test_a_target_that_is_the_label_gives_way_to_its_neighbour():
    images, labels = toys.images(2), jnp.array([1, 3])
    run = functools.partial(ja.la, model, images, labels, num_steps=2)
    own = run(targets=jnp.array([[1], [3]]))
    np.testing.assert_array_equal(own, run(targets=jnp.array([[2], [2]])))
    # The same classes for every image.
    np.testing.assert_array_equal(own, run(targets=jnp.array([2])))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "key: .*needs a typed key"),
        ({"key": jax.random.key(0)}, "num_targets: .* at most 3, got 20"),
        ({"targets": jnp.array([0, 4])}, r"targets: .* 0 to 3, got 4"),
        ({"targets": jnp.zeros((3, 1), int)}, r"targets: .*\(2, T\)"),
        ({"targets": jnp.array([1.0])}, "targets: expected integers"),
        ({"targets": jnp.array([], int)}, "targets: expected integers"),
        ({"targets": [1], "spatial_range": 0}, "spatial_range: .*above 0"),
        ({"targets": [1], "num_steps": 0}, "num_steps: .*at least 1"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=message):
        ja.la(model, toys.images(2), jnp.array([0, 1]), **given)
