"""MFABA against its equations in a loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

PARAMS = toys.init_smooth(jax.random.key(2), 8, 7)
model = functools.partial(toys.smooth_logits, PARAMS)


@functools.cache
def gradient_of(label):
    score = lambda x: ja.scores.probability(model, jnp.array([label]))(x[None])[0]
    return jax.jit(jax.grad(score))


def prediction(x):
    return int(jnp.argmax(model(jnp.asarray(x)[None])[0]))


@pytest.mark.parametrize("accumulate", quick([False, True], True))
@pytest.mark.parametrize("step", quick(["sign", "normalized"], "normalized"))
def test_mfaba_against_a_loop(step, accumulate):
    with toys.float64():
        images = toys.images(3, 8, 7, dtype=jnp.float64)
        labels = jnp.argmax(model(images), -1).at[2].add(1) % 4
        given = {"step": step, "accumulate": accumulate}
        maps = ja.mfaba(model, images, labels, num_steps=12, step_size=0.02, **given)
        stopped = []
        for image, label, actual in zip(images, labels, maps, strict=True):
            x0 = x = np.asarray(image)
            expected, total = np.zeros_like(x), 0
            for _ in range(12):
                if prediction(x) != label:
                    break
                g = np.asarray(gradient_of(int(label))(x))
                g = total = total + g if accumulate else g
                if step == "sign":
                    moved = x0 + np.clip(x - 0.02 * np.sign(g) - x0, -0.3, 0.3)
                else:
                    moved = x - 2.0 * g / np.sqrt((g**2).sum())
                moved = np.clip(moved, 0, 1)
                expected -= (moved - x) * g
                x = moved
            stopped.append(prediction(x) != label)
            np.testing.assert_allclose(actual, expected, atol=1e-10)
        assert any(stopped)
        np.testing.assert_array_equal(maps[2], 0)
