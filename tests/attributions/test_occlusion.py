"""Occlusion: closed forms, captum's windows, models that are only callable."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from quick import quick

import jaxattr as ja

X, Y = toys.images(), toys.labels()
LINEAR, WEIGHTS = toys.linear()
PARAMS = toys.init_smooth(jax.random.key(0))
SMOOTH = functools.partial(toys.smooth_logits, PARAMS)


def slow(score, image, window, stride, substrate):
    """The mean over windows of how far the score falls, pixel by pixel."""
    height, width = image.shape[:2]
    total, number = np.zeros((height, width)), np.zeros((height, width))
    top = 0
    while True:
        left = 0
        while True:
            hidden = image.copy()
            place = np.s_[top : top + window[0], left : left + window[1]]
            hidden[place] = substrate[place]
            total[place] += score(image) - score(hidden)
            number[place] += 1
            if left + window[1] >= width:
                break
            left += stride[1]
        if top + window[0] >= height:
            break
        top += stride[0]
    return np.repeat((total / number)[..., None], image.shape[2], 2)


@pytest.mark.parametrize(
    ("window", "stride"),
    [
        (3, 2),
        ((2, 4), (1, 3)),
        pytest.param(5, 5, marks=pytest.mark.slow),
        pytest.param((6, 5), 1, marks=pytest.mark.slow),
    ],
)
def test_a_linear_model_has_weights_times_differences_in_windows(window, stride):
    substrate = np.asarray(jnp.flip(X, 1), np.float64)
    maps = ja.occlusion(
        *(LINEAR, X, Y), window=window, stride=stride, substrate=substrate
    )
    pair = lambda v: v if isinstance(v, tuple) else (v, v)
    for n, label in enumerate(Y):
        w = np.asarray(WEIGHTS, np.float64)[..., label]
        expected = slow(
            lambda image: (w * image).sum(),
            *(np.asarray(X[n], np.float64), pair(window), pair(stride), substrate[n]),
        )
        np.testing.assert_allclose(maps[n], expected, atol=2e-6)


def test_of_a_network_it_is_the_mean_fall():
    score = lambda image, label: np.asarray(SMOOTH(image[None]))[0, label]
    maps = ja.occlusion(SMOOTH, X, Y, window=3, stride=2, substrate=0.25)
    expected = slow(
        lambda image: score(image, 1),
        np.asarray(X[1]),
        (3, 3),
        (2, 2),
        0.25 * np.ones_like(X[1]),
    )
    np.testing.assert_allclose(maps[1], expected, atol=2e-6)


def test_pixels_that_the_model_does_not_see_have_zero():
    blind = lambda x: SMOOTH(x.at[:, :, :2].set(0.5))
    maps = ja.occlusion(blind, X, Y, window=1, stride=1)
    assert float(jnp.abs(maps[:, :, :2]).max()) == 0
    assert float(jnp.abs(maps[:, :, 2:]).max()) > 0


PARAMS_OUTSIDE = jax.tree.map(np.asarray, PARAMS)
ROWS = []


def serve(images):
    """A remote service: it gives values, on the other side of a callback."""
    ROWS.append(len(images))
    images = np.asarray(images)
    hidden = np.tanh(images.reshape(len(images), -1) @ PARAMS_OUTSIDE["hidden"])
    return np.asarray(hidden @ PARAMS_OUTSIDE["head"], np.float32)


def service(images):
    shape = jax.ShapeDtypeStruct((len(images), 4), np.float32)
    return jax.pure_callback(serve, shape, images)


ONLY_CALLED = {
    "occlusion": {"window": 3, "stride": 2},
    "rise": {"num_samples": 5, "grid": 2},
    "lime": {"segments": (2, 2), "num_samples": 9},
    "kernel_shap": {"segments": (2, 2), "num_samples": 15},
}


@pytest.mark.parametrize("name", quick(ONLY_CALLED, "occlusion"))
def test_a_model_that_is_only_callable(name):
    explain = functools.partial(
        getattr(ja, name), key=jax.random.key(1), batch_size=6, **ONLY_CALLED[name]
    )
    run = jax.jit(explain, static_argnums=0)
    ROWS.clear()
    expected = run(SMOOTH, X, Y)
    assert not ROWS
    np.testing.assert_allclose(run(service, X, Y), expected, atol=1e-5)
    assert max(ROWS) == 6
    if name == "occlusion":
        np.testing.assert_allclose(explain(service, X, Y), expected, atol=1e-5)


def test_the_service_has_no_derivative():
    with pytest.raises(ValueError, match="Pure callbacks do not support"):
        ja.saliency(service, X, Y)


BAD = [
    ({"window": 7}, "window: expected at most the image's 6 x 5 pixels, got 7"),
    ({"window": (6, 6)}, "window: expected at most the image's 6 x 5 pixels"),
    ({"window": (1, 2, 3)}, r"window: expected a number of pixels, or \(height, width"),
    ({"window": 0}, "window: expected an integer of at least 1"),
    ({"window": 2, "stride": 3}, "stride: expected at most the window's 2"),
    ({"stride": 0}, "stride: expected an integer of at least 1"),
    (
        {"substrate": 1.5},
        "substrate: expected values within the bounds 0 to 1, got 1.5",
    ),
    ({"substrate": np.zeros((4, 5, 3))}, "substrate: expected a number, .6, 5, 3. or"),
    ({"substrate": -0.5, "bounds": (0.0, 1.0)}, "substrate: .* got -0.5; bounds="),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    given = {"window": 3, "stride": 1} | change
    with pytest.raises(ValueError, match=message):
        ja.occlusion(LINEAR, X, Y, **given)


def test_a_substrate_within_other_bounds():
    maps = ja.occlusion(
        *(LINEAR, X, Y), window=3, stride=1, substrate=-0.5, bounds=(-1.0, 1.0)
    )
    assert bool(jnp.isfinite(maps).all())


@pytest.mark.parametrize("name", quick(ONLY_CALLED, "occlusion", "rise"))
def test_a_callable_that_returns_another_shape(name):
    options = ONLY_CALLED[name]
    for wrong in (lambda x: SMOOTH(x)[:, 0], lambda x: SMOOTH(x)[:1], lambda x: x):
        with pytest.raises(ValueError, match=r"logits_fn: expected a function of"):
            getattr(ja, name)(wrong, X, Y, key=jax.random.key(0), **options)
