import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from jaxattr import scores

LOGITS = np.array([[1.0, 3.0, -2.0], [0.5, 0.5, 4.0]])
IMAGES = jnp.zeros((2, 1, 1, 3))
LABELS = jnp.array([1, 0])


def constant(images, logits=LOGITS):
    return jnp.asarray(logits, images.dtype) + 0 * images[:, 0, 0]


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (scores.logit, [3.0, 0.5]),
        (scores.probability, softmax(LOGITS)[[0, 1], [1, 0]]),
        (scores.log_probability, np.log(softmax(LOGITS)[[0, 1], [1, 0]])),
        (scores.cross_entropy, -np.log(softmax(LOGITS)[[0, 1], [1, 0]])),
        (scores.margin, [2.0, -3.5]),
    ],
)
def test_values(score, expected):
    np.testing.assert_allclose(score(constant, LABELS)(IMAGES), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "score", [scores.log_probability, scores.cross_entropy, scores.margin]
)
def test_large_logits_give_no_nan_in_value_or_gradient(score):
    logits_fn = functools.partial(constant, logits=LOGITS * 1e4)

    def total(images):
        return jnp.sum(score(lambda x: logits_fn(x) * (1 + x[:, 0, 0]), LABELS)(images))

    value, gradient = jax.value_and_grad(total)(IMAGES)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 1e3


def test_a_label_that_is_no_class_is_nan_and_leaves_its_neighbour_alone():
    for bad in (3, -1):
        values = scores.logit(constant, jnp.array([1, bad]))(IMAGES)
        assert values[0] == 3.0
        assert np.isnan(values[1])


def test_bfloat16_logits_are_scored_in_float32():
    values = scores.probability(lambda x: constant(x).astype(jnp.bfloat16), LABELS)(
        IMAGES
    )
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, softmax(LOGITS)[[0, 1], [1, 0]], rtol=1e-6)


def test_stacked_rows_give_every_row_its_image_s_label():
    logits_fn, _ = toys.linear()
    images, labels = toys.images(), toys.labels()
    stack = jnp.stack([images, images[:, ::-1], images * 0.5, images * 0.25])
    stacked = scores.stacked_rows(scores.logit, logits_fn, labels)
    for i in range(4):
        np.testing.assert_allclose(
            stacked(stack)[i], scores.logit(logits_fn, labels)(stack[i]), rtol=1e-5
        )


@pytest.mark.parametrize("times", [0, 1, 2])
def test_repeated_softmax(times):
    expected = LOGITS
    for _ in range(times):
        expected = softmax(expected)
    actual = scores.repeated_softmax(constant, times)(IMAGES)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
