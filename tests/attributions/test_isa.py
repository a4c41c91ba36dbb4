"""ISA against its rounds in a loop, and against what the released code computed."""

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
KEY = jax.random.key(6)
PARAMS = toys.init_smooth(jax.random.key(2))
model = functools.partial(toys.smooth_logits, PARAMS)


def test_maps_of_the_released_code():
    """Images one by one and without noise; its rounds divide the values evenly."""
    golden = np.load(GOLDENS / "isa.npz")["maps"]
    with toys.float64():
        hidden, head = map(jnp.asarray, released_network.weights())
        network = lambda x: jnp.tanh(x.reshape(len(x), -1) @ hidden) @ head
        maps = ja.isa(
            network,
            jnp.asarray(released_network.images()),
            jnp.asarray(released_network.LABELS),
            key=KEY,
            values_per_round=released_network.VALUES_PER_ROUND,
            num_ascent_steps=3,
            num_descent_steps=3,
            stddev=0.0,
        )
        # The released map is float32.
        np.testing.assert_allclose(maps, golden, rtol=0, atol=1e-6)


@jax.jit
def value_and_slope(point, label, noise, penalty):
    def objective(z):
        loss = ja.scores.cross_entropy(model, label[None])(z[None] + noise[None])[0]
        return loss + penalty * jnp.sqrt(jnp.sum(z**2))

    return jax.value_and_grad(objective)(point)


def searched(x, label, left, key, sign, num_steps):
    """``Σ α |g| / w`` of one direction."""
    z, total, values = x * left, np.zeros_like(x), []
    for t in range(num_steps):
        noise = 0.05 * jax.random.normal(jax.random.fold_in(key, t), x.shape, x.dtype)
        value, g = value_and_slope(jnp.asarray(z), label, noise, -0.01 * sign)
        g = np.asarray(g) if sign > 0 else np.asarray(g) * left
        total += 0.02 * np.abs(g)
        z = z + sign * 0.02 * np.sign(g)
        values.append(float(value))
    return total / (sign * (values[-1] - values[0]))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [(3, 2), (0, 3)])
def test_against_a_loop_with_noise_and_a_last_round_that_is_not_full(steps):
    """Of 90 values 25 a round: the last has the 15 that matter most."""
    with toys.float64():
        images = toys.images(2, dtype=jnp.float64)
        labels, keys = jnp.array([1, 3]), jax.random.split(KEY, 2)
        maps = ja.isa(
            model,
            images,
            labels,
            key=keys,
            values_per_round=25,
            num_ascent_steps=steps[0],
            num_descent_steps=steps[1],
            step_size=0.02,
        )
        for x, label, key, actual in zip(images, labels, keys, maps, strict=True):
            x, left = np.asarray(x), np.ones(x.shape)
            expected = np.zeros_like(x)
            for i in range(4):
                sides = jax.random.split(jax.random.fold_in(key, i), 2)
                total = sum(
                    searched(x, label, left, side, sign, num)
                    for side, sign, num in zip(sides, (1, -1), steps, strict=True)
                    if num
                )
                order = np.abs((total + total.min()) * x)
                ranked = np.argsort(np.where(left > 0, order, np.inf), axis=None)
                chosen = np.unravel_index(ranked[: min(25, int(left.sum()))], x.shape)
                values = order[chosen] - order[chosen].min()
                expected[chosen] = i + values / (values.max() + 1e-6) * 1.3
                left[chosen] = 0
            assert left.sum() == 0
            np.testing.assert_allclose(actual, expected, atol=1e-8)


def test_an_order_that_is_none_is_nan():
    """A step of zero changes no loss, and what is divided by it says nothing."""
    images = toys.images(1)
    maps = ja.isa(
        model,
        images,
        jnp.array([1]),
        key=KEY,
        step_size=0.0,
        stddev=0.0,
        num_ascent_steps=2,
    )
    assert np.isnan(maps).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_ascent_steps": 1}, "num_ascent_steps: expected 0 or at least 2"),
        ({"num_ascent_steps": 0, "num_descent_steps": 0}, "num_descent_steps: .*one"),
        ({"values_per_round": 0}, "values_per_round: .*at least 1"),
        ({"stddev": -1.0}, "stddev: .*at least 0"),
        ({"softmax_stack": 0}, "softmax_stack: .*at least 1"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=message):
        ja.isa(model, toys.images(1), jnp.array([0]), key=KEY, **given)
