"""What every registered explainer promises, in one suite parametrised over all.

On a toy, and in the slow suite on a convolutional network and transformers.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_zoo
import toys
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick
from subjects import KEY, METHODS, SLOW, SUBJECTS, compiled, draw, explain, options

from jaxattr.evaluation.methods import registry

ATTENTION = ("small_vit", "small_maxvit")
"""Subjects that attend; the second, in windows, is for the methods that look at that."""


FEW = ("saliency", "integrated_gradients", "rise", "attexplore")
"""A gradient, a path, a model that is only called, and an attack that explores: what
compiles anew is tried on the toy with these, and with all in the slow suite."""


def each(keep=lambda method: True, subjects=tuple(SUBJECTS), few=None):
    """A test of every method on every subject."""
    names = sorted(name for name, method in METHODS.items() if keep(method))
    is_quick = lambda name: name in few if few else name not in SLOW
    cases = [
        pytest.param(
            (subject, name),
            marks=[] if subject == "toy" and is_quick(name) else [pytest.mark.slow],
            id=f"{subject}-{name}",
        )
        for subject in subjects
        for name in names
        # Tests of their own explain halves of toys.
        if not (METHODS[name].needs_split and subject == "toy")
        and (subject in ATTENTION or not METHODS[name].needs_attention)
        and (subject != "small_maxvit" or METHODS[name].needs_attention)
    ]
    return pytest.mark.parametrize("case", cases, indirect=True)


@pytest.fixture(scope="module", autouse=True)
def catalog():
    with small_zoo.in_catalog():
        yield


@pytest.fixture(scope="module")
def case(request):
    """Of the module, so that the tests of a case come one after another.

    What they compiled is dropped after the last: a process may hold so many programs.
    """
    kind, name = request.param
    yield SUBJECTS[kind](), name
    if kind != "toy":
        compiled.cache_clear()
        jax.clear_caches()


@pytest.fixture
def subject(case):
    with case[0].precision():
        yield case[0]


@pytest.fixture
def name(case):
    return case[1]


def assert_close(subject, actual, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=subject.tolerance * scale)


@each()
def test_signature(subject, name):
    """The convention of every explainer, by name and kind of argument."""
    parameters = inspect.signature(METHODS[name].explain).parameters
    names = ["logits_fn", "images", "labels", "key", "batch_size"]
    assert list(parameters)[:5] == names
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[3:]), (
        "options are keyword-only"
    )
    assert parameters["key"].default is None
    assert parameters["batch_size"].default is None


@each()
def test_shape_dtype_finite_and_inputs_unchanged(subject, name):
    images, labels = map(np.asarray, draw(subject))
    before = images.copy(), labels.copy()
    maps = compiled(subject, name)(subject.params, images, labels)
    assert maps.shape == images.shape
    assert maps.dtype == images.dtype
    assert bool(jnp.isfinite(maps).all())
    assert float(jnp.abs(maps).max()) > 0
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels, before[1])


@each(few=FEW)
def test_eager_equals_jit_and_same_key_same_bits(subject, name):
    images, labels = draw(subject)
    jitted = compiled(subject, name)(subject.params, images, labels)
    model = subject.model(subject.params)
    assert_close(subject, explain(subject, name, model, images, labels), jitted)
    again = compiled(subject, name)(subject.params, images, labels)
    np.testing.assert_array_equal(again, jitted)


@each(lambda method: method.needs_key)
def test_another_key_gives_another_map(subject, name):
    images, labels = draw(subject)
    first, other = (
        compiled(subject, name)(subject.params, images, labels, jax.random.key(seed))
        for seed in (3, 4)
    )
    assert float(jnp.abs(other - first).max()) > 0


@each(few=FEW)
def test_alone_equals_in_a_batch_with_its_own_key(subject, name):
    images, labels = draw(subject)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
    run = functools.partial(compiled(subject, name), subject.params)
    batch = run(images, labels)
    alone = run(images[1:2], labels[1:2], keys[1:2])
    assert_close(subject, alone, batch[1:2])


@pytest.mark.parametrize("batch_size", quick([1, 2], 2))
@each(few=FEW)
def test_batch_size_changes_nothing_and_is_held(subject, name, batch_size):
    images, labels = draw(subject)
    rows = []

    def counted(x):
        rows.append(x.shape[0])
        return x

    model = subject.preceded(counted, subject.params)
    run = jax.jit(
        lambda x, y: explain(subject, name, model, x, y, batch_size=batch_size)
    )
    expected = compiled(subject, name)(subject.params, images, labels)
    assert_close(subject, run(images, labels), expected)
    assert max(rows) <= batch_size


@pytest.mark.parametrize("batch_size", quick([3, 7, 100]))
@each(subjects=["toy"], few=FEW)
def test_larger_batch_size_changes_nothing_and_is_held(subject, name, batch_size):
    test_batch_size_changes_nothing_and_is_held(subject, name, batch_size)


@each()
def test_one_trace_for_new_weights(subject, name):
    run, (images, labels) = compiled(subject, name), draw(subject)
    first = run(subject.params, images, labels)
    traces = run._cache_size()
    second = run(jax.tree.map(lambda p: 2 * p, subject.params), images, labels)
    assert run._cache_size() == traces
    assert float(jnp.abs(first - second).max()) > 0


@each(few=FEW)
def test_vmap_over_a_leading_axis(subject, name):
    images, _ = draw(subject)
    stack = jnp.stack([images, images[:, ::-1]])
    labels = jax.vmap(subject.labels)(stack)
    model = subject.model(subject.params)
    mapped = jax.vmap(lambda x, y: explain(subject, name, model, x, y))(stack, labels)
    for i in range(2):
        expected = compiled(subject, name)(subject.params, stack[i], labels[i])
        assert_close(subject, mapped[i], expected)


@each(lambda method: method.differentiable, few=FEW)
def test_gradient_through_the_map_agrees_with_finite_differences(subject, name):
    """To the image and to the parameters, in float64."""
    with toys.float64():
        images = subject.images(2, dtype=jnp.float64)
        labels = subject.labels(images)
        # Away from kinks such as the positive part of a bias that is zero.
        params = jax.tree.map(
            lambda p: p + 0.01 * jax.random.normal(jax.random.key(p.size), p.shape),
            jax.tree.map(lambda p: p.astype(jnp.float64), subject.params),
        )
        probe = jax.random.normal(jax.random.key(9), images.shape, jnp.float64)

        @jax.jit
        def functional(params, images):
            maps = explain(subject, name, subject.model(params), images, labels)
            return jnp.sum(probe * maps)

        gradients = jax.jit(jax.grad(functional, (0, 1)))(params, images)
        tangent = jax.tree.map(
            lambda x: jax.random.normal(jax.random.key(x.size), x.shape, x.dtype),
            (params, images),
        )
        for argument in (0, 1):
            only = jax.tree.map(jnp.zeros_like, tangent)
            only = only[:argument] + (tangent[argument],) + only[argument + 1 :]
            h = subject.step / (10 if name in subject.steep else 1)
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
            assert abs(float(derivative)) > 1e-6
            np.testing.assert_allclose(
                derivative, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-7
            )


@each(lambda method: not method.differentiable, few=("mfaba",))
def test_what_is_not_differentiable_says_so_and_is_still_finite_under_grad(
    subject, name
):
    words = " ".join(METHODS[name].explain.__doc__.split())
    assert "no derivative" in words or "piecewise differentiable" in words
    images, labels = draw(subject)
    model = subject.model(subject.params)
    gradient = jax.grad(
        lambda x: jnp.sum(explain(subject, name, model, x, labels) ** 2)
    )(images)
    assert bool(jnp.isfinite(gradient).all())


@pytest.mark.parametrize(
    "axis_type", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
@each(few=FEW)
def test_sharded_equals_unsharded(subject, name, axis_type):
    assert len(jax.devices()) >= 4, "tests force four devices"
    images, labels = draw(subject, 8)
    run = compiled(subject, name, batch_size=16)
    expected = run(subject.params, images, labels)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    rows = NamedSharding(mesh, P("data"))
    with jax.set_mesh(mesh):
        params = jax.device_put(subject.params, NamedSharding(mesh, P()))
        maps = run(params, *(jax.device_put(a, rows) for a in (images, labels)))
    assert maps.sharding.spec[0] == "data", "the map stays where its images are"
    assert_close(subject, maps, expected)


@each(few=FEW)
def test_bfloat16_model_gives_float32_maps(subject, name):
    images = subject.images(3)
    labels = subject.labels(images)
    halves = jax.tree.map(lambda p: p.astype(jnp.bfloat16), subject.params)
    model = subject.preceded(lambda x: x.astype(jnp.bfloat16), halves)
    maps = jax.jit(lambda x, y: explain(subject, name, model, x, y))(images, labels)
    assert maps.dtype == jnp.float32
    if METHODS[name].differentiable and name not in subject.steep:
        expected = compiled(subject, name)(subject.params, images, labels)
        error = np.linalg.norm(maps - expected)
        assert error < subject.half_tolerance * np.linalg.norm(expected)


@each(few=FEW)
def test_float64_is_kept(subject, name):
    with toys.float64():
        images = subject.images(2, dtype=jnp.float64)
        model = subject.model(subject.params)
        maps = explain(subject, name, model, images, subject.labels(images))
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


@each()
@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_names_argument_expectation_and_what_came(
    subject, name, change, message
):
    images, labels = draw(subject)
    given = {"images": images, "labels": labels} | options(subject, name) | change
    images, labels = given.pop("images"), given.pop("labels")
    model = subject.model(subject.params)
    with pytest.raises(ValueError, match=message.replace("int64", "int(64|32)")):
        METHODS[name].explain(model, images, labels, **given)


BAD_KEYS = [
    (None, "key: .*needs a typed key"),
    (jnp.zeros(3, "uint32"), "key: expected a typed key.*got uint32"),
    (jax.random.split(jax.random.key(0), 2), r"key: expected .*\(3,\) of them"),
]


@pytest.mark.parametrize(("key", "message"), BAD_KEYS)
@each(lambda method: method.needs_key)
def test_bad_key(subject, name, key, message):
    model = subject.model(subject.params)
    with pytest.raises(ValueError, match=message):
        explain(subject, name, model, *draw(subject), key=key)


def test_unknown_method_names_the_nearest():
    with pytest.raises(ValueError, match="method: unknown 'saliencey'.*saliency"):
        registry.method("saliencey")
