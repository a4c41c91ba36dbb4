"""What a classifier promises, on a network small enough to compile in no time."""

import time
import weakref

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick

from jaxattr import models
from jaxattr.convolutions.mean_pooling import global_mean
from jaxattr.models import classifier as classifiers
from jaxattr.models.activations import relu6
from jaxattr.models.catalog import MODELS
from jaxattr.models.entries import Entry, Source
from jaxattr.models.layers import Conv, Depthwise, Linear
from jaxattr.models.preprocessing import Preprocessing


class Tiny(nnx.Module):
    split_layer = "blocks"

    def __init__(self, *, num_classes, activation, padding):
        self.stem = Conv(3, 4, 3, stride=2, padding=padding)
        self.depthwise = Depthwise(4, 3, stride=2, padding=padding)
        self.classifier = Linear(4, num_classes)
        self.activation = relu6 if activation is None else activation

    def chain(self):
        return {
            "stem": lambda x: self.activation(self.stem(x)),
            "blocks.0": lambda x: self.activation(self.depthwise(x)),
            "blocks.1": lambda x: x,
            "pool": global_mean,
            "classifier": self.classifier,
        }


@pytest.fixture(scope="module", autouse=True)
def catalog():
    source = Source(
        list,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
        preprocessings={"squash": Preprocessing((8, 8))},
        padding="tf_same",
    )
    paddings = ("symmetric", "tf_same")
    MODELS["tiny"] = Entry(Tiny, {"drawn": source}, paddings)
    yield
    del MODELS["tiny"]


def load(**options):
    options = {"key": jax.random.key(0), "num_classes": 5} | options
    return models.load("tiny", "random", **options)


def draw(n=4, dtype=jnp.float32):
    return jax.random.uniform(jax.random.key(1), (n, 8, 8, 3), dtype)


def test_attributes():
    classifier = load()
    assert classifier.name == "tiny"
    assert classifier.num_classes == 5
    assert classifier.input_size == (8, 8)
    assert classifier.labels == ("0", "1", "2", "3", "4")
    assert classifier.preprocess(np.zeros((9, 7), np.uint8)).shape == (8, 8, 3)
    assert repr(classifier) == "Classifier('tiny', num_classes=5)"


def test_normalises_inside():
    classifier = load()
    mean = jnp.broadcast_to(jnp.array([0.5, 0.4, 0.3]), (1, 8, 8, 3))
    # Zero after normalisation, and all biases are zero.
    np.testing.assert_allclose(classifier(mean), 0, atol=1e-6)
    assert np.abs(classifier(mean + 0.1)).max() > 1e-3


def test_parameters_are_the_leaves():
    classifier = load()
    leaves = jax.tree.leaves(classifier)
    assert len(leaves) == 6
    chex.assert_trees_all_equal(leaves, jax.tree.leaves(classifier.params))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, classifier)
    assert doubled.name == "tiny"
    assert not np.allclose(doubled(draw()), classifier(draw()))


def test_new_weights_do_not_trace_again():
    traces = []

    @jax.jit
    def logits(classifier, images):
        traces.append(None)
        return classifier(images)

    for seed in range(3):
        logits(load(key=jax.random.key(seed)), draw())
    assert len(traces) == 1
    logits(load(activation=jax.nn.softplus), draw())
    assert len(traces) == 2


def test_eager_calls_compile_once(monkeypatch):
    builds = []
    original = nnx.merge
    monkeypatch.setattr(
        classifiers.nnx, "merge", lambda *a: builds.append(None) or original(*a)
    )
    for seed in range(3):
        load(key=jax.random.key(seed), num_classes=7)(draw(3))
    assert len(builds) == 1


def test_hashing_costs_nothing():
    structure = jax.tree.structure(load(num_classes=1000))
    rounds = 1000
    fastest = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(rounds):
            hash(structure)
        fastest = min(fastest, time.perf_counter() - start)
    assert fastest / rounds < 2e-4


def test_rows_are_independent_and_vmap_agrees():
    classifier, images = load(), draw()
    expected = classifier(images)
    chex.assert_trees_all_close(classifier(images[1:2]), expected[1:2], atol=1e-5)
    one_by_one = jax.vmap(classifier)(images[:, None])[:, 0]
    chex.assert_trees_all_close(one_by_one, expected, atol=1e-5)
    several = [load(key=jax.random.key(i)) for i in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    got = jax.jit(jax.vmap(lambda c: c(images)))(stacked)
    expected = jnp.stack([c(images) for c in several])
    chex.assert_trees_all_close(got, expected, atol=1e-5)


@pytest.mark.slow
def test_derivatives_against_finite_differences():
    with jax.enable_x64(True):
        classifier, images = load(activation=jax.nn.softplus), draw(1, jnp.float64)
        direction = jnp.cos(100 * images)
        weights = jax.tree.map(lambda p: jnp.sin(50 * p), classifier)
        score = lambda classifier, images: classifier(images)[0, 2]
        slope = lambda c, x: jax.jvp(lambda x: score(c, x), (x,), (direction,))[1]

        @jax.jit
        def derivatives(c, x):
            gradient = jax.grad(score, (0, 1))
            dot = lambda a, b: sum(
                jnp.sum(u * v.astype(u.dtype))
                for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
            )
            along = lambda x: dot(jax.grad(score, 1)(c, x), direction)
            return {
                "image": dot(gradient(c, x)[1], direction),
                "image, forward": slope(c, x),
                "parameters": dot(gradient(c, x)[0], weights),
                "second, reverse over reverse": dot(jax.grad(along)(x), direction),
                "second, forward over reverse": jax.jvp(along, (x,), (direction,))[1],
                "second, reverse over forward": dot(
                    jax.grad(slope, 1)(c, x), direction
                ),
            }

        got = derivatives(classifier, images)
        step = 1e-4
        value = jax.jit(score)
        moved = [value(classifier, images + s * direction) for s in (-step, 0, step)]
        first = (moved[2] - moved[0]) / (2 * step)
        second = (moved[2] - 2 * moved[1] + moved[0]) / step**2
        for name in ("image", "image, forward"):
            np.testing.assert_allclose(got[name], first, rtol=1e-5, err_msg=name)
        assert abs(second) > 1e-3
        for name in got:
            if name.startswith("second"):
                np.testing.assert_allclose(got[name], second, rtol=1e-4, err_msg=name)
        # Parameters are float32, so a step must be large for them to feel it.
        step = 2.0**-8
        ends = [
            value(jax.tree.map(lambda p, w: p + s * w, classifier, weights), images)
            for s in (-step, step)
        ]
        slope = (ends[1] - ends[0]) / (2 * step)
        np.testing.assert_allclose(got["parameters"], slope, rtol=1e-3)


@pytest.mark.parametrize(
    "axis_type", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
def test_sharded_equals_unsharded(axis_type):
    classifier, images = load(), draw(8)
    both = jax.jit(lambda c, x: (c(x), jax.grad(lambda x: jnp.sum(c(x)[:, 1]))(x)))
    expected = both(classifier, images)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        spread = jax.device_put(images, NamedSharding(mesh, P("data")))
        whole = jax.device_put(classifier, NamedSharding(mesh, P()))
        got = both(whole, spread)
    assert got[0].sharding.spec[0] == "data"
    chex.assert_trees_all_close(
        jax.device_get(got), jax.device_get(expected), atol=1e-5
    )


def test_float64_images_compute_in_float64():
    with jax.enable_x64(True):
        images = draw(2, jnp.float64)
        got = load()(images)
        assert got.dtype == jnp.float64
        wide = jax.tree.map(lambda p: p.astype(jnp.float64), load())(images)
        np.testing.assert_allclose(got, wide, rtol=1e-13)
        assert load()(images.astype(jnp.float32)).dtype == jnp.float32


def test_half_precision():
    exact = load()(draw())
    classifier = load(dtype=jnp.bfloat16)
    got = classifier(draw())
    assert got.dtype == jnp.float32
    assert 1e-6 < np.abs(got - exact).max() < 0.05 * np.abs(exact).max()
    assert classifier(draw(4, jnp.bfloat16)).dtype == jnp.float32
    gradients = jax.grad(lambda c, x: jnp.sum(c(x)[:, 0]), (0, 1))(classifier, draw())
    assert {g.dtype for g in jax.tree.leaves(gradients)} == {jnp.dtype(jnp.float32)}
    jaxpr = str(jax.make_jaxpr(classifier)(draw()))
    assert "bf16[4,2,2,4]" in jaxpr


def test_options_do_something():
    plain = load()(draw())
    assert not np.allclose(load(activation=jax.nn.softplus)(draw()), plain)
    assert not np.allclose(load(padding="symmetric")(draw()), plain)
    chex.assert_trees_all_equal(load(padding="tf_same")(draw()), plain)
    chex.assert_trees_all_close(load(activation=jax.nn.relu6)(draw()), plain)


def test_relu6_is_flat_at_its_corners_and_keeps_nan():
    x = jnp.array([-1.0, 0.0, 3.0, 6.0, 7.0, jnp.nan])
    np.testing.assert_array_equal(relu6(x), [0, 0, 3, 6, 6, np.nan])
    slopes = jax.vmap(jax.grad(relu6))(x[:-1])
    np.testing.assert_array_equal(slopes, [0, 0, 1, 0, 0])


@pytest.mark.parametrize("layer", ["stem", "blocks.0", "blocks", "pool", None])
def test_split_is_the_whole(layer):
    classifier, images = load(), draw()
    split = classifier.split(layer)
    features, head = split
    values = features(images)
    shape = {"stem": (4, 4, 4, 4), "pool": (4, 4)}.get(layer, (4, 2, 2, 4))
    assert values.shape == shape
    np.testing.assert_allclose(head(values), classifier(images), atol=1e-6)
    np.testing.assert_allclose(split(images), classifier(images), atol=1e-6)
    assert "Part('tiny', stem to" in repr(features)
    weakref.ref(split)  # jit keeps functions by weak references


def test_halves_are_pytrees_and_new_weights_do_not_trace_again():
    traces = []

    @jax.jit
    def logits(split, images):
        traces.append(None)
        return split(images)

    for seed in range(3):
        classifier = load(key=jax.random.key(seed))
        got = logits(classifier.split("stem"), draw())
        np.testing.assert_allclose(got, classifier(draw()), atol=1e-6)
    assert len(traces) == 1
    logits(load().split("pool"), draw())
    assert len(traces) == 2


def test_the_default_halves():
    classifier = load()
    assert classifier.layers == ("stem", "blocks.0", "blocks.1", "pool", "classifier")
    features = classifier.features(draw())
    np.testing.assert_array_equal(
        features, classifier.split("blocks.1").features(draw())
    )
    np.testing.assert_allclose(classifier.head(features), classifier(draw()), atol=1e-6)


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="layer: unknown 'block'.*known: blocks.0, "):
        load().split("block")


def test_split_in_half_precision():
    classifier = load(dtype=jnp.bfloat16)
    features, head = classifier.split("stem")
    assert features(draw()).dtype == jnp.bfloat16
    np.testing.assert_allclose(head(features(draw())), classifier(draw()), atol=1e-2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), r"images: .*\(N, H, W, 3\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), "images: .*divide 8-bit images by 255"),
        (np.zeros((1, 8, 8, 1), np.float32), "images: expected three channels"),
        (np.zeros((0, 8, 8, 3), np.float32), "images: .*non-empty"),
    ],
)
def test_bad_images(images, message):
    with pytest.raises(ValueError, match=message):
        load()(images)
