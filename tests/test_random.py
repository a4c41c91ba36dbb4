import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxattr import _random

KEYS = jax.random.split(jax.random.key(0), 3)


def test_draws_belong_to_their_key():
    """The same for an image alone, in a batch, and for a sample in any chunk."""
    batch = _random.normal(_random.fold_in(KEYS, jnp.arange(4)), (2, 2), jnp.float32)
    assert batch.shape == (4, 3, 2, 2)
    alone = _random.normal(
        _random.fold_in(KEYS[1:2], jnp.array([2])), (2, 2), jnp.float32
    )
    np.testing.assert_array_equal(alone[0, 0], batch[2, 1])
    one = jax.random.normal(jax.random.fold_in(KEYS[1], 2), (2, 2))
    np.testing.assert_array_equal(one, batch[2, 1])


def test_draws_are_those_of_jax():
    """Drawn in a row, of any shape and type."""
    for shape in ((), (5,), (3, 4, 5), (1, 1, 1)):
        for dtype in (jnp.float32, jnp.bfloat16):
            for name, bounds in (("normal", ()), ("uniform", (-1.0, 2.0))):
                ours = jax.jit(
                    lambda k, n=name, s=shape, t=dtype, b=bounds: getattr(_random, n)(
                        k, s, t, *b
                    )
                )(KEYS)
                draw = getattr(jax.random, name)
                theirs = [draw(key, shape, dtype, *bounds) for key in KEYS]
                np.testing.assert_array_equal(ours, jnp.stack(theirs))


def test_split_gives_independent_keys():
    first, second = _random.split(KEYS, 2)
    assert first.shape == second.shape == (3,)
    x = _random.normal(first, (4000,), jnp.float32)
    y = _random.normal(second, (4000,), jnp.float32)
    assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.04


def test_uniform_bounds():
    x = _random.uniform(KEYS, (4000,), jnp.float32, 0.5, 1.5)
    assert scipy.stats.kstest(np.ravel(x), "uniform", (0.5, 1.0)).pvalue > 1e-3


def test_choice_is_uniform_over_rows():
    rows = jnp.arange(5.0)[:, None] * jnp.ones((1, 2))
    chosen = _random.choice(_random.fold_in(KEYS, jnp.arange(2000)), rows)
    assert chosen.shape == (2000, 3, 2)
    counts = np.bincount(np.asarray(chosen[..., 0], int).ravel(), minlength=5)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
