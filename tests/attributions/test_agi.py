"""AGI against its equations in a loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

KEY = jax.random.key(11)
PARAMS = toys.init_smooth(jax.random.key(2), 8, 7)
model = functools.partial(toys.smooth_logits, PARAMS)


@functools.cache
def gradient_of(label):
    score = lambda x: ja.scores.probability(model, jnp.array([label]))(x[None])[0]
    return jax.jit(jax.grad(score))


def prediction(x):
    return int(jnp.argmax(model(jnp.asarray(x)[None])[0]))


@pytest.mark.parametrize("origin", quick(["image", "current"], "current"))
def test_agi_against_a_loop(origin):
    with toys.float64():
        images = toys.images(2, 8, 7, dtype=jnp.float64)
        labels, keys = jnp.argmax(model(images), -1), jax.random.split(KEY, 2)
        given = {"num_targets": 2, "num_steps": 4, "origin": origin}
        run = jax.jit(lambda x, y, keys: ja.agi(model, x, y, key=keys, **given))
        maps = run(images, labels, keys)
        for image, label, key, actual in zip(images, labels, keys, maps, strict=True):
            expected = np.zeros_like(image)
            others = [k for k in range(4) if k != label]
            for drawn in jax.random.permutation(key, 3)[:2]:
                target, x0 = others[int(drawn)], np.asarray(image)
                x = x0
                for _ in range(4):
                    if prediction(x) == target:
                        break
                    base = x0 if origin == "image" else x
                    toward = np.sign(gradient_of(target)(x))
                    moved = np.clip(base + 0.05 * toward, 0, 1)
                    expected -= np.asarray(gradient_of(int(label))(x)) * (moved - base)
                    x = moved
            np.testing.assert_allclose(actual, expected, atol=1e-10)


@pytest.mark.slow
def test_agi_of_an_image_does_not_depend_on_its_batch():
    """The released batch code sums the classes of a batch."""
    images, keys = toys.images(3, 8, 7), jax.random.split(KEY, 3)
    labels = jnp.argmax(model(images), -1)
    run = functools.partial(ja.agi, model, num_targets=2, num_steps=3)
    batch = run(images, labels, key=keys)
    alone = run(images[:1], labels[:1], key=keys[:1])
    np.testing.assert_allclose(alone[0], batch[0], atol=1e-7)
