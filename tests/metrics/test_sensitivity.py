"""Infidelity, sensitivity and sanity checks against loops and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja
from jaxattr import _random, models, perturbations

PARAMS = toys.init_smooth(jax.random.key(4))
model = functools.partial(toys.smooth_logits, PARAMS)
KEY = jax.random.key(3)
IMAGES, LABELS = toys.images(), toys.labels()


@pytest.mark.parametrize("normalize", quick([False, True], False))
def test_infidelity_against_a_loop(normalize):
    maps = ja.saliency(model, IMAGES, LABELS) + 0.1
    options = {"num_samples": 7, "stddev": 0.3, "batch_size": 8}
    run = functools.partial(ja.infidelity, model, normalize=normalize, **options)
    actual = jax.jit(lambda x, maps: run(x, maps, LABELS, key=KEY))(IMAGES, maps)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
    for i in range(3):
        predicted, real = [], []
        for s in range(7):
            key = jax.random.fold_in(keys[i], s)
            noise = 0.3 * np.asarray(jax.random.normal(key, IMAGES.shape[1:]))
            change = model(IMAGES[i : i + 1]) - model(IMAGES[i : i + 1] + noise[None])
            real.append(float(change[0, LABELS[i]]))
            predicted.append(float((-noise * np.asarray(maps[i])).sum()))
        predicted, real = np.array(predicted), np.array(real)
        beta = predicted @ real / (predicted @ predicted) if normalize else 1
        expected = ((beta * predicted - real) ** 2).mean()
        assert actual[i] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_infidelity_of_gradients_of_linear_models_is_zero_and_scale_is_told_apart():
    logits_fn, _ = toys.linear()
    maps = ja.saliency(logits_fn, IMAGES, LABELS)
    score = functools.partial(
        ja.infidelity, logits_fn, IMAGES, labels=LABELS, key=KEY, num_samples=20
    )
    np.testing.assert_allclose(score(attributions=maps), 0, atol=1e-9)
    assert (score(attributions=3 * maps) > 1).all()
    np.testing.assert_allclose(
        score(attributions=3 * maps, normalize=True), 0, atol=1e-9
    )
    zero = score(attributions=0 * maps, normalize=True)
    np.testing.assert_allclose(zero, score(attributions=0 * maps), rtol=1e-6)
    other = score(
        attributions=maps, perturbation=perturbations.spectral_copies(0.1, 0.5)
    )
    np.testing.assert_allclose(other, 0, atol=1e-9)


@pytest.mark.parametrize("metric", ["max_sensitivity", "local_lipschitz"])
def test_sensitivity_against_a_loop(metric):
    explain = lambda x: ja.saliency(model, x, LABELS)
    actual = getattr(ja, metric)(explain, IMAGES, key=KEY, radius=0.1, num_samples=5)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(3))
    norm = lambda v: np.sqrt((np.asarray(v, np.float64) ** 2).sum((1, 2, 3)))
    maps, largest = explain(IMAGES), np.zeros(3)
    for s in range(5):
        step = 0.1 * _random.uniform(
            _random.fold_in(keys, s), IMAGES.shape[1:], IMAGES.dtype, -1.0, 1.0
        )
        below = norm(maps) if metric == "max_sensitivity" else norm(step)
        largest = np.maximum(largest, norm(explain(IMAGES + step) - maps) / below)
    np.testing.assert_allclose(actual, largest, rtol=1e-4)


@pytest.mark.parametrize("metric", [ja.max_sensitivity, ja.local_lipschitz])
def test_sensitivity_of_nan_is_nan_for_its_image_alone(metric):
    broken = IMAGES.at[1, 0, 0, 0].set(jnp.nan)
    found = jax.jit(lambda x: metric(lambda x: x, x, key=KEY))(broken)
    assert np.isnan(found).tolist() == [0, 1, 0]


@pytest.mark.slow
def test_sensitivity_of_known_maps_and_of_none():
    steep = ja.local_lipschitz(lambda x: 3 * x, IMAGES, key=KEY)
    np.testing.assert_allclose(steep, 3, rtol=1e-4)
    for metric in (ja.max_sensitivity, ja.local_lipschitz):
        zeros = metric(lambda x: 0 * x, IMAGES, key=KEY)
        np.testing.assert_array_equal(zeros, 0)
        keys = jax.random.split(KEY, 3)
        np.testing.assert_allclose(
            metric(jnp.sin, IMAGES[1:], key=keys[1:]),
            metric(jnp.sin, IMAGES, key=keys)[1:],
            rtol=1e-6,
        )


@pytest.mark.parametrize("metric", ["max_sensitivity", "local_lipschitz"])
def test_sensitivity_calls_the_explainer_with_the_images_alone(metric):
    shapes = []

    def explain(x):
        shapes.append(x.shape)
        return x

    getattr(ja, metric)(explain, IMAGES, key=KEY)
    assert set(shapes) == {IMAGES.shape}


MLP = {
    "a_second": {"kernel": jnp.zeros((16, 4)), "bias": jnp.zeros(4)},
    "b_first": {"kernel": jnp.zeros((90, 16)), "bias": jnp.zeros(16)},
}
MLP = jax.tree.map(lambda v: jax.random.normal(KEY, v.shape), MLP)


def mlp(params, x):
    first, second = params["b_first"], params["a_second"]
    hidden = x.reshape(len(x), -1) @ first["kernel"] + first["bias"][None]
    return jnp.tanh(hidden) @ second["kernel"] + second["bias"][None]


def test_layers_are_named_in_the_order_of_use():
    assert ja.layer_names(jax.jit(mlp), MLP, IMAGES) == ("a_second", "b_first")


@pytest.mark.slow
def test_layers_of_the_zoo():
    network = models.load("efficientnet_lite0", "random", key=KEY)
    layers = ja.layer_names(lambda m, x: m(x), network, jnp.zeros((1, 32, 32, 3)))
    assert layers[:3] == ("classifier", "head", "blocks/15/project")
    assert layers[-1] == "stem"
    assert len(layers) == len(set(layers)) == 3 + 2 + 15 * 3


@pytest.mark.parametrize("mode", quick(["cascading", "independent"], "cascading"))
def test_randomization_shuffles_what_it_says(mode):
    seen = []

    def explain(params):
        seen.append(jax.tree.map(np.asarray, params))
        return ja.saliency(functools.partial(mlp, params), IMAGES, LABELS)

    layers = ("a_second", "b_first")
    check = ja.randomization_check(explain, MLP, key=KEY, layers=layers, mode=mode)
    assert check.layers == layers
    assert check.similarity.shape == (2, 3)
    assert (check.similarity < 0.9).all()
    changed = [
        {n for n in layers if not np.array_equal(p[n]["kernel"], MLP[n]["kernel"])}
        for p in seen
    ]
    second = {"a_second", "b_first"} if mode == "cascading" else {"b_first"}
    assert changed == [set(), {"a_second"}, second]
    for params in seen:
        same = jax.tree.map(
            lambda v, w: np.array_equal(np.sort(v.ravel()), np.sort(np.ravel(w))),
            params,
            MLP,
        )
        assert all(jax.tree.leaves(same))


def test_a_map_that_ignores_the_network_is_found_out():
    check = ja.randomization_check(
        lambda params: IMAGES, MLP, key=KEY, layers=("a_second",)
    )
    np.testing.assert_allclose(check.similarity, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ja.infidelity(model, IMAGES, IMAGES, LABELS), "key: this method"),
        (
            lambda: ja.infidelity(model, IMAGES, IMAGES[:2], LABELS, key=KEY),
            "attributions: expected shape",
        ),
        (lambda: ja.max_sensitivity(jnp.sin, IMAGES), "key: this method"),
        (
            lambda: ja.local_lipschitz(jnp.sin, IMAGES, key=KEY, radius=-1),
            "radius: expected",
        ),
        (
            lambda: ja.max_sensitivity(jnp.sin, IMAGES, key=KEY, num_samples=0),
            "num_samples: expected",
        ),
        (
            lambda: ja.randomization_check(
                len, MLP, key=KEY, layers=("x",), mode="all"
            ),
            "mode: unknown 'all'",
        ),
        (
            lambda: ja.randomization_check(
                lambda p: IMAGES, MLP, key=KEY, layers=("b_fir",)
            ),
            "layers: expected prefixes of the paths of parameters, got 'b_fir'",
        ),
        (
            lambda: ja.randomization_check(lambda p: IMAGES, MLP, key=KEY, layers=()),
            "layers: expected a sequence of names",
        ),
    ],
)
def test_misuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
