"""Calls, loops, branches and shards: the same as written out, for every kind of rule."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P
from quick import quick

from jaxattr.attributions.deeplift import deeplift
from jaxattr.attributions.lrp import lrp
from jaxattr.attributions.rectified import guided_backprop

X = jax.random.uniform(jax.random.key(0), (4, 2, 2, 3))
LABELS = jnp.arange(4) % 2
WEIGHTS = jax.random.normal(jax.random.key(1), (3, 12, 12)) / 3
HEAD = jax.random.normal(jax.random.key(2), (12, 2))
EXPLAINERS = {
    "lrp": functools.partial(lrp, composite="epsilon_plus"),
    "attn_lrp": functools.partial(lrp, composite="attn_lrp"),
    "deeplift": functools.partial(deeplift, baseline=0.3),
    "guided_backprop": guided_backprop,
}


def block(h, weights):
    return h + jax.nn.relu(h @ weights - 0.1)


def network(repeat):
    return lambda x: repeat(x.reshape(x.shape[0], -1)) @ HEAD


def unrolled(h):
    for weights in WEIGHTS:
        h = block(h, weights)
    return h


def scanned(h):
    return lax.scan(lambda h, w: (block(h, w), None), h, WEIGHTS)[0]


def reversed_scan(h):
    flipped = WEIGHTS[::-1]
    return lax.scan(lambda h, w: (block(h, w), None), h, flipped, reverse=True)[0]


def stacked_outputs(h):
    """The result comes out of a scan's outputs, the weights as its constants."""

    def step(carry, index):
        after = block(carry, WEIGHTS[index])
        return after, after

    return lax.scan(step, h, jnp.arange(3))[1][-1]


def fori(h):
    return lax.fori_loop(0, 3, lambda i, h: block(h, WEIGHTS[i]), h)


def counted_while(h):
    def step(state):
        i, h = state
        return i + 1, block(h, lax.dynamic_index_in_dim(WEIGHTS, i, keepdims=False))

    return lax.while_loop(lambda state: state[0] < 3, step, (0, h))[1]


def checkpointed(h):
    for weights in WEIGHTS:
        h = jax.checkpoint(block)(h, weights)
    return h


def jitted(h):
    for weights in WEIGHTS:
        h = jax.jit(block)(h, weights)
    return h


@jax.custom_vjp
def custom_block(h, weights):
    return block(h, weights)


custom_block.defvjp(
    lambda h, w: (block(h, w), (h, w)), lambda saved, g: (jnp.zeros_like(g), saved[1])
)


def custom(h):
    for weights in WEIGHTS:
        h = custom_block(h, weights)
    return h


def branched(h):
    for i, weights in enumerate(WEIGHTS):
        h = lax.cond(i < 3, block, lambda h, w: h, h, weights)
    return h


def branch_of_an_array(h):
    which = jnp.asarray(WEIGHTS[0, 0, 0] > -100, jnp.int32)
    for weights in WEIGHTS:
        branches = [lambda h, w: h, block, lambda h, w: -h]
        h = lax.switch(which, branches, h, weights)
    return h


def sharded(h):
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    run = jax.shard_map(
        lambda h, weights: functools.reduce(block, weights, h),
        mesh=mesh,
        in_specs=(P("rows"), P()),
        out_specs=P("rows"),
    )
    return run(h, WEIGHTS)


def summed_over_shards(h):
    """The inner axis is split, and partial products are added by ``psum``."""
    mesh = jax.make_mesh((4,), ("inner",), axis_types=(jax.sharding.AxisType.Auto,))

    def linear(h, weights):
        return lax.psum(h @ weights, "inner")

    run = jax.shard_map(
        linear, mesh=mesh, in_specs=(P(None, "inner"), P("inner")), out_specs=P()
    )
    for weights in WEIGHTS:
        h = h + jax.nn.relu(run(h, weights) - 0.1)
    return h


@functools.cache
def expected(name):
    run = jax.jit(lambda x, y: EXPLAINERS[name](network(unrolled), x, y))
    return np.asarray(run(X, LABELS))


WRITTEN = [
    *(scanned, reversed_scan, stacked_outputs, fori, counted_while),
    *(checkpointed, jitted, custom, branched, branch_of_an_array, sharded),
]


@pytest.mark.parametrize(
    ("repeat", "name"),
    [
        # DeepLIFT goes through a loop and a branch with two inputs at once.
        (repeat, name)
        if name == "lrp" or (name == "deeplift" and repeat in (fori, branched))
        else pytest.param(repeat, name, marks=pytest.mark.slow)
        for repeat, name in itertools.product(WRITTEN, EXPLAINERS)
    ],
)
def test_the_same_as_written_out(name, repeat):
    explain = jax.jit(lambda x, y: EXPLAINERS[name](network(repeat), x, y))
    maps = explain(X, LABELS)
    assert float(jnp.abs(maps).max()) > 0
    np.testing.assert_allclose(maps, expected(name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", quick(["deeplift", "guided_backprop"], "guided_backprop")
)
def test_partial_sums_over_shards(name):
    explain = jax.jit(lambda x, y: EXPLAINERS[name](network(summed_over_shards), x, y))
    maps = explain(X, LABELS)
    np.testing.assert_allclose(maps, expected(name), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_branch_that_the_images_choose():
    """Relevance comes back through the branch that was taken; DeepLIFT refuses."""

    def logits_fn(x):
        h = x.reshape(x.shape[0], -1)
        h = lax.cond(jnp.sum(h) > 0, lambda h: block(h, WEIGHTS[0]), jnp.tanh, h)
        return h @ HEAD

    taken = lrp(lambda x: block(x.reshape(4, -1), WEIGHTS[0]) @ HEAD, X, LABELS)
    np.testing.assert_allclose(lrp(logits_fn, X, LABELS), taken, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"cond \(.*test_control_flow.*images.*where"):
        deeplift(logits_fn, X, LABELS)


def test_a_loop_that_depends_on_data():
    def logits_fn(x):
        h = x.reshape(x.shape[0], -1)
        h = lax.while_loop(lambda h: jnp.max(h) < 5, lambda h: 2 * h, h)
        return h @ HEAD

    with pytest.raises(ValueError, match="while_loop .*test_control_flow.*fori_loop"):
        lrp(logits_fn, X, LABELS)


def test_an_unknown_primitive():
    def logits_fn(x):
        h = x.reshape(x.shape[0], -1)
        return jnp.linalg.cholesky(h[:, :, None] * h[:, None] + jnp.eye(12)[None])[
            :, :2, 0
        ]

    with pytest.raises(ValueError, match="'cholesky' .*test_control_flow.*gradient"):
        lrp(logits_fn, X, LABELS)
    with pytest.raises(ValueError, match="'cholesky'"):
        deeplift(logits_fn, X, LABELS)
    for explain in (lrp, deeplift):
        maps = explain(logits_fn, X, LABELS, unknown="gradient")
        assert bool(jnp.isfinite(maps).all())
        assert float(jnp.abs(maps).max()) > 0


def test_a_path_through_integers():
    def logits_fn(x):
        h = x.reshape(x.shape[0], -1)
        return HEAD[jnp.argmax(h, -1)] * jnp.sum(h, -1, keepdims=True)

    with pytest.raises(ValueError, match="through int32 values into 'gather'"):
        lrp(logits_fn, X, LABELS)


def test_other_bad_input():
    with pytest.raises(ValueError, match="composite: unknown 'epsilon_plus_flt'.*flat"):
        lrp(network(unrolled), X, LABELS, composite="epsilon_plus_flt")
    with pytest.raises(ValueError, match="composite: expected a name or"):
        lrp(network(unrolled), X, LABELS, composite=3)
    with pytest.raises(ValueError, match="unknown: unknown 'skip'"):
        lrp(network(unrolled), X, LABELS, unknown="skip")
    with pytest.raises(ValueError, match=r"baseline: expected a number, \(2, 2, 3\)"):
        deeplift(network(unrolled), X, LABELS, baseline=jnp.zeros((3, 2, 2, 3)))
    with pytest.raises(ValueError, match=r"baseline: .*several \('B', 1"):
        deeplift(network(unrolled), X, LABELS, baseline=jnp.zeros((3, 4, 2, 2, 3)))
