"""Training losses against slow references written from their equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from quick import quick

from jaxattr import _random, training
from jaxattr.training import attribution

PARAMS = toys.init_smooth(jax.random.key(4))
IMAGES, LABELS = toys.images(), toys.labels()
KEY = jax.random.key(0)
KEYS = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
INNER = {"epsilon": 0.1, "step_size": 0.04, "num_steps": 3}
model = toys.smooth_logits
LOSSES = {
    "pgd_loss": {},
    "trades_loss": {"beta": 2.0},
    "ig_norm_loss": {"weight": 0.7, "num_nodes": 6, "inner_nodes": 2},
    "ig_sum_norm_loss": {"weight": 0.7, "num_nodes": 6, "inner_nodes": 2},
    "alignment_loss": {"weight": 0.7, "top_values": 20},
}


def entropy(params, x):
    return -jax.nn.log_softmax(model(params, x))[jnp.arange(3), LABELS]


def ig(params, x, nodes):
    """``(x' - x) ⊙ 1/m Σ ∇ℓ``, node by node."""
    slope = jax.grad(lambda z: entropy(params, z).sum())
    total = sum(slope(IMAGES + k / nodes * (x - IMAGES)) for k in range(1, nodes + 1))
    return jnp.abs((x - IMAGES) * total / nodes).sum((1, 2, 3))


def divergence(params, x):
    p = jax.nn.softmax(model(params, IMAGES))
    return (p * (jnp.log(p) - jax.nn.log_softmax(model(params, x)))).sum(-1)


def cosine(a, b):
    a, b = a.reshape(3, -1), b.reshape(3, -1)
    return (a * b).sum(1) / jnp.linalg.norm(a, axis=1) / jnp.linalg.norm(b, axis=1)


def triplet_distances(params, x, mask=1.0):
    is_label = jax.nn.one_hot(LABELS, 4, dtype=bool)
    own = jax.grad(lambda z: model(params, z)[jnp.arange(3), LABELS].sum())(x)
    rival = jax.grad(
        lambda z: jnp.where(is_label, -jnp.inf, model(params, z)).max(1).sum()
    )(x)
    return tuple(1 - cosine(x * mask, g * mask) for g in (own, rival))


def top_mask(params):
    slope = jax.grad(lambda z: model(params, z)[jnp.arange(3), LABELS].sum())(IMAGES)
    size = jnp.abs(slope).reshape(3, -1)
    bound = jnp.sort(size, axis=1)[:, -20][:, None]
    return (size >= bound).reshape(IMAGES.shape).astype(jnp.float32)


def inner(params, name):
    """What the inner attack ascends, ``(N,)``."""
    if name == "pgd_loss":
        return lambda x: entropy(params, x)
    if name == "trades_loss":
        return lambda x: divergence(params, x)
    if name == "ig_norm_loss":
        return lambda x: ig(params, x, 2)
    if name == "ig_sum_norm_loss":
        return lambda x: entropy(params, x) + 0.7 * ig(params, x, 2)
    mask = top_mask(params)

    def triplet(x):
        near, far = triplet_distances(params, x, mask)
        return jnp.log1p(jnp.exp(near - far))

    return triplet


def reference(name, params):
    """The loss at the point that a plain loop finds, which is held constant."""
    if name == "trades_loss":
        noise = 0.001 * _random.normal(KEYS, IMAGES.shape[1:], IMAGES.dtype)
    else:
        noise = 0.1 * _random.uniform(KEYS, IMAGES.shape[1:], IMAGES.dtype, -1.0, 1.0)
    x = jnp.clip(IMAGES + noise, 0, 1)
    for _ in range(3):
        step = jnp.sign(jax.grad(lambda z: inner(params, name)(z).sum())(x))
        x = jnp.clip(jnp.clip(x + 0.04 * step, IMAGES - 0.1, IMAGES + 0.1), 0, 1)
    x = jax.lax.stop_gradient(x)
    if name == "pgd_loss":
        return entropy(params, x).mean()
    if name == "trades_loss":
        return (entropy(params, IMAGES) + 2 * divergence(params, x)).mean()
    if name == "ig_norm_loss":
        return (entropy(params, IMAGES) + 0.7 * ig(params, x, 6)).mean()
    if name == "ig_sum_norm_loss":
        return (entropy(params, x) + 0.7 * ig(params, x, 6)).mean()
    first, second = (triplet_distances(params, v) for v in (IMAGES, x))
    near, far = jnp.maximum(first[0], second[0]), jnp.minimum(first[1], second[1])
    return (entropy(params, x) + 0.7 * jnp.log1p(jnp.exp(near - far))).mean()


@functools.cache
def value_and_slope(name):
    loss = functools.partial(
        getattr(training, name),
        model,
        images=IMAGES,
        labels=LABELS,
        key=KEY,
        **INNER,
        **LOSSES[name],
    )
    return jax.jit(jax.value_and_grad(loss))(PARAMS)


@pytest.mark.parametrize("name", quick(LOSSES, "trades_loss"))
def test_against_a_slow_reference(name):
    value, slope = value_and_slope(name)
    expected, expected_slope = jax.jit(
        jax.value_and_grad(functools.partial(reference, name))
    )(PARAMS)
    assert float(value) == pytest.approx(float(expected), rel=2e-4)
    for leaf, other in zip(jax.tree.leaves(slope), jax.tree.leaves(expected_slope)):
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(leaf, other, atol=2e-3 * scale)


def test_the_standard_loss_is_the_mean_cross_entropy():
    value = training.standard_loss(model, PARAMS, IMAGES, LABELS)
    assert float(value) == pytest.approx(
        float(entropy(PARAMS, IMAGES).mean()), rel=1e-6
    )


@pytest.mark.parametrize("num_nodes", quick([1, 2, 7], 7))
def test_the_norm_of_a_linear_loss_is_known(num_nodes):
    """Two classes, ``z = (0, w·x)`` and a loss linear in z: the norm is ``Σ|w (x'-x)|``."""
    weights = jax.random.normal(KEY, IMAGES.shape[1:])
    linear = lambda x: jnp.einsum("...hwc,hwc->...", x, weights)
    moved = IMAGES[:, ::-1]
    expected = jnp.abs((moved - IMAGES) * weights[None]).sum((1, 2, 3))
    actual = attribution._ig_norm(linear, IMAGES, moved, num_nodes)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("name", quick(LOSSES, "ig_norm_loss", "pgd_loss"))
def test_zero_epsilon_leaves_the_loss_at_the_image(name):
    given = LOSSES[name] | {"epsilon": 0.0, "key": KEY, "num_steps": 1}
    if name == "alignment_loss":
        given["weight"] = 0.0
    value = jax.jit(
        lambda params: getattr(training, name)(model, params, IMAGES, LABELS, **given)
    )(PARAMS)
    clean = float(training.standard_loss(model, PARAMS, IMAGES, LABELS))
    assert float(value) == pytest.approx(clean, rel=1e-5)


@pytest.mark.parametrize("name", quick(LOSSES, "pgd_loss"))
def test_an_optax_step_lowers_the_loss(name):
    value, slope = value_and_slope(name)
    updates, _ = optax.sgd(1e-2).update(slope, optax.sgd(1e-2).init(PARAMS))
    after = getattr(training, name)(
        model,
        optax.apply_updates(PARAMS, updates),
        IMAGES,
        LABELS,
        key=KEY,
        **INNER,
        **LOSSES[name],
    )
    assert float(after) < float(value)


@pytest.mark.parametrize("name", LOSSES)
def test_misuse(name):
    loss = functools.partial(getattr(training, name), model, PARAMS, IMAGES)
    with pytest.raises(ValueError, match="key: this method draws at random"):
        loss(LABELS)
    for change, message in (
        ({"epsilon": -1.0}, "epsilon: expected"),
        ({"num_steps": 0}, "num_steps: expected"),
        ({"bounds": (1, 0)}, "bounds: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            loss(LABELS, key=KEY, **change)
    with pytest.raises(ValueError, match="labels: expected"):
        loss(LABELS[:2], key=KEY)
