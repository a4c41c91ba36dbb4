"""What every registered explainer promises, in one suite parametrised over all."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxattr as ja
from jaxattr.evaluation import registry

# Those of split models are in tests of their own, and in test_protocol_zoo.
METHODS = {n: m for n, m in registry.methods().items() if not m.needs_split}
# Where minutes count, big stands for those that search as it does, and attexplore for
# fampe, which differs by one slot.
SLOW = ("bsg", "bsm", "fampe")
KEY = jax.random.key(3)
PARAMS = toys.init_smooth(jax.random.key(0))
# Of one draw and few halvings: the search is short, and no step decides by rounding.
BOUNDARY = {
    "search": ja.attacks.pgd_l2(radii=(4.0,), num_steps=2),
    "num_bisections": 4,
}
# Few steps and samples, and an odd number, so that chunks have ragged ends.
SMALL = {
    "smoothgrad": {"num_samples": 5},
    "integrated_gradients": {"num_steps": 5},
    "expected_gradients": {"num_samples": 5},
    "guided_ig": {"num_steps": 4},
    "attexplore": {"num_steps": 3, "num_samples": 5},
    "attexplore_pp": {"num_steps": 3, "attack": ja.attacks.gra(num_samples=5)},
    "fampe": {"num_steps": 3, "num_samples": 5},
    "mfaba": {"num_steps": 4, "step_size": 0.02},
    "agi": {"num_targets": 2, "num_steps": 3},
    "bsm": BOUNDARY,
    "big": {**BOUNDARY, "num_steps": 5},
    "bsg": {**BOUNDARY, "num_samples": 5},
}
logits_fn = functools.partial(toys.smooth_logits, PARAMS)


def cases(keep=lambda method: True):
    """The names of registered methods, those of the slow suite marked."""
    names = sorted(name for name, method in METHODS.items() if keep(method))
    slow = pytest.mark.slow
    return [pytest.param(n, marks=slow) if n in SLOW else n for n in names]


def predicted(images):
    """Boundary methods only move images that are classified as labelled."""
    return jnp.argmax(logits_fn(images), axis=-1)


def options(name, key=KEY, dtype=jnp.float32):
    method = METHODS[name]
    given = {"key": key, **SMALL.get(name, {})}
    if method.needs_references:
        given["references"] = toys.images(2, dtype=dtype)[:, ::-1]
    return given


def explain(name, model, images, labels, **overrides):
    return METHODS[name].explain(model, images, labels, **options(name) | overrides)


@functools.cache
def compiled(name, **overrides):
    """Jitted in (params, images, labels, key): shared by the tests of a method."""

    def run(params, images, labels, key=KEY):
        model = functools.partial(toys.smooth_logits, params)
        return explain(name, model, images, labels, key=key, **overrides)

    return jax.jit(run)


def assert_close(actual, expected, tolerance=2e-6):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", cases())
def test_signature(name):
    """The convention of every explainer, by name and kind of argument."""
    parameters = inspect.signature(METHODS[name].explain).parameters
    assert list(parameters)[:5] == [
        "logits_fn",
        "images",
        "labels",
        "key",
        "batch_size",
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[3:]), (
        "options are keyword-only"
    )
    assert parameters["key"].default is None
    assert parameters["batch_size"].default is None


@pytest.mark.parametrize("name", cases())
def test_shape_dtype_finite_and_inputs_unchanged(name):
    images, labels = np.asarray(toys.images()), np.asarray(predicted(toys.images()))
    before = images.copy(), labels.copy()
    maps = compiled(name)(PARAMS, images, labels)
    assert maps.shape == images.shape
    assert maps.dtype == images.dtype
    assert bool(jnp.isfinite(maps).all())
    assert float(jnp.abs(maps).max()) > 0
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels, before[1])


@pytest.mark.parametrize("name", cases())
def test_eager_equals_jit_and_same_key_same_bits(name):
    images, labels = toys.images(), predicted(toys.images())
    jitted = compiled(name)(PARAMS, images, labels)
    assert_close(explain(name, logits_fn, images, labels), jitted)
    again = compiled(name)(PARAMS, images, labels)
    np.testing.assert_array_equal(again, jitted)


@pytest.mark.parametrize("name", cases(lambda method: method.needs_key))
def test_another_key_gives_another_map(name):
    images, labels = toys.images(), predicted(toys.images())
    first, other = (
        compiled(name)(PARAMS, images, labels, jax.random.key(seed)) for seed in (3, 4)
    )
    assert float(jnp.abs(other - first).max()) > 0


@pytest.mark.parametrize("name", cases())
def test_alone_equals_in_a_batch_with_its_own_key(name):
    images, labels = toys.images(), predicted(toys.images())
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
    batch = compiled(name)(PARAMS, images, labels)
    alone = compiled(name)(PARAMS, images[1:2], labels[1:2], keys[1:2])
    assert_close(alone, batch[1:2])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("name", cases())
def test_batch_size_changes_nothing_and_is_held(name, batch_size):
    images, labels = toys.images(), predicted(toys.images())
    rows = []

    def counting(x):
        rows.append(x.shape[0])
        return logits_fn(x)

    run = jax.jit(lambda x, y: explain(name, counting, x, y, batch_size=batch_size))
    assert_close(run(images, labels), compiled(name)(PARAMS, images, labels))
    assert max(rows) <= batch_size


@pytest.mark.parametrize("name", cases())
def test_one_trace_for_new_weights(name):
    run = compiled(name)
    first = run(PARAMS, toys.images(), predicted(toys.images()))
    traces = run._cache_size()
    second = run(
        jax.tree.map(lambda p: 2 * p, PARAMS), toys.images(), predicted(toys.images())
    )
    assert run._cache_size() == traces
    assert float(jnp.abs(first - second).max()) > 0


@pytest.mark.parametrize("name", cases())
def test_vmap_over_a_leading_axis(name):
    stack = jnp.stack([toys.images(), toys.images()[:, ::-1]])
    labels = jax.vmap(predicted)(stack)
    mapped = jax.vmap(lambda x, y: explain(name, logits_fn, x, y))(stack, labels)
    for i in range(2):
        assert_close(mapped[i], compiled(name)(PARAMS, stack[i], labels[i]))


@pytest.mark.parametrize("name", cases(lambda method: method.differentiable))
def test_gradient_through_the_map_agrees_with_finite_differences(name):
    """To the image and to the parameters, in float64."""
    with toys.float64():
        images = toys.images(2, dtype=jnp.float64)
        labels = predicted(toys.images(2))
        params = jax.tree.map(lambda p: p.astype(jnp.float64), PARAMS)
        probe = jax.random.normal(jax.random.key(9), images.shape, jnp.float64)
        given = options(name, dtype=jnp.float64)

        @jax.jit
        def functional(params, images):
            model = functools.partial(toys.smooth_logits, params)
            maps = METHODS[name].explain(model, images, labels, **given)
            return jnp.sum(probe * maps)

        gradients = jax.jit(jax.grad(functional, (0, 1)))(params, images)
        tangent = jax.tree.map(
            lambda x: jax.random.normal(jax.random.key(x.size), x.shape, x.dtype),
            (params, images),
        )
        for argument in (0, 1):
            only = jax.tree.map(jnp.zeros_like, tangent)
            only = only[:argument] + (tangent[argument],) + only[argument + 1 :]
            h = 1e-5
            ahead, behind = (
                functional(
                    *jax.tree.map(lambda x, d: x + s * d, (params, images), only)
                )
                for s in (h, -h)
            )
            derivative = sum(
                jnp.vdot(g, d)
                for g, d in zip(
                    jax.tree.leaves(gradients), jax.tree.leaves(only), strict=True
                )
            )
            assert abs(float(derivative)) > 1e-3
            np.testing.assert_allclose(
                derivative, (ahead - behind) / (2 * h), rtol=1e-5
            )


@pytest.mark.parametrize("name", cases(lambda method: not method.differentiable))
def test_what_is_not_differentiable_says_so_and_is_still_finite_under_grad(name):
    words = METHODS[name].explain.__doc__
    assert "no derivative" in words or "piecewise differentiable" in words
    gradient = jax.grad(
        lambda x: jnp.sum(explain(name, logits_fn, x, predicted(toys.images())) ** 2)
    )(toys.images())
    assert bool(jnp.isfinite(gradient).all())


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("name", cases())
def test_sharded_equals_unsharded(name, axis_type):
    assert len(jax.devices()) >= 4, "tests force four devices"
    images, labels = toys.images(8), predicted(toys.images(8))
    expected = compiled(name, batch_size=16)(PARAMS, images, labels)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    rows = NamedSharding(mesh, P("data"))
    with jax.set_mesh(mesh):
        run = jax.jit(lambda x, y: explain(name, logits_fn, x, y, batch_size=16))
        maps = run(jax.device_put(images, rows), jax.device_put(labels, rows))
    assert maps.sharding.spec[0] == "data", "the map stays where its images are"
    assert_close(maps, expected)


@pytest.mark.parametrize("name", cases())
def test_bfloat16_model_gives_float32_maps(name):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)

    def model(x):
        return toys.smooth_logits(params, x.astype(jnp.bfloat16))

    images, labels = toys.images(), predicted(toys.images())
    maps = jax.jit(lambda x, y: explain(name, model, x, y))(images, labels)
    assert maps.dtype == jnp.float32
    if METHODS[name].differentiable:
        assert_close(maps, compiled(name)(PARAMS, images, labels), tolerance=0.05)


@pytest.mark.parametrize("name", cases())
def test_float64_is_kept(name):
    with toys.float64():
        images = toys.images(2, dtype=jnp.float64)
        given = options(name, dtype=jnp.float64)
        maps = METHODS[name].explain(
            logits_fn, images, predicted(toys.images(2)), **given
        )
        assert maps.dtype == jnp.float64


BAD = [
    ({"images": np.zeros((6, 5, 3), np.float32)}, r"images: expected .*\(N, H, W, C\)"),
    ({"images": np.zeros((3, 6, 5, 3), np.uint8)}, r"images: .*float.*got uint8"),
    ({"images": "photo.png"}, r"images: expected .* got 'photo.png'"),
    ({"images": np.zeros((0, 6, 5, 3), np.float32)}, r"images: expected a non-empty"),
    ({"labels": np.zeros(2, int)}, r"labels: expected integers \(3,\).*got int64\[2\]"),
    ({"labels": np.zeros(3)}, r"labels: expected integers"),
    ({"batch_size": 0}, r"batch_size: expected an integer of at least 1, got 0"),
    ({"batch_size": 1.5}, r"batch_size: expected an integer"),
]


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_names_argument_expectation_and_what_came(name, change, message):
    given = (
        {"images": toys.images(), "labels": predicted(toys.images())}
        | options(name)
        | change
    )
    images, labels = given.pop("images"), given.pop("labels")
    with pytest.raises(ValueError, match=message.replace("int64", "int(64|32)")):
        METHODS[name].explain(logits_fn, images, labels, **given)


BAD_KEYS = [
    (None, "key: .*needs a typed key"),
    (jax.random.PRNGKey(0), "key: expected a typed key.*got uint32"),
    (jax.random.split(jax.random.key(0), 2), r"key: expected .*\(3,\) of them"),
]


@pytest.mark.parametrize(("key", "message"), BAD_KEYS)
@pytest.mark.parametrize("name", cases(lambda method: method.needs_key))
def test_bad_key(name, key, message):
    with pytest.raises(ValueError, match=message):
        explain(name, logits_fn, toys.images(), predicted(toys.images()), key=key)


def test_unknown_method_names_the_nearest():
    with pytest.raises(ValueError, match="method: unknown 'saliencey'.*saliency"):
        registry.method("saliencey")
