"""Metrics against Quantus, and ROAD's imputation against the published code."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

import jaxattr as ja
from jaxattr._numerics.imputation import imputation
from jaxattr.metrics.subset_fidelity import correlated

KEPT = dict(np.load(pathlib.Path(__file__).parent / "goldens" / "metrics.npz"))
MAPS, IMAGES, LABELS = KEPT["maps"], KEPT["images"], KEPT["labels"]


def model(images):
    flat = images.reshape(len(images), -1)
    return jnp.tanh(flat @ KEPT["hidden"].T) @ KEPT["last"].T


def test_the_network_is_the_one_of_torch():
    np.testing.assert_allclose(model(IMAGES), KEPT["logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["sparseness", "complexity"])
def test_concentration(name):
    np.testing.assert_allclose(getattr(ja, name)(MAPS), KEPT[name], rtol=1e-5)


def test_pointing_game():
    found = ja.pointing_game(MAPS, KEPT["masks"])
    np.testing.assert_array_equal(found, KEPT["pointing_game"])
    assert 0 < found.mean() < 1


@pytest.mark.slow
def test_irof():
    """There the area lies over the segments after the first and is not divided."""
    segments = KEPT["segments"]
    measure = functools.partial(
        ja.irof, model, IMAGES, MAPS, labels=LABELS, substrate=0.0
    )
    found = measure(segments=segments)
    for i in range(3):
        count = segments[i].max() + 1
        means = [MAPS[i][segments[i] == s].mean() for s in range(count)]
        gone = (segments[i] == np.argmax(means))[..., None]
        both = np.stack([IMAGES[i], np.where(gone, 0, IMAGES[i])])
        before, after = np.asarray(jax.nn.softmax(model(both)))[:, LABELS[i]]
        curve = count * (1 - float(found[i])) - (1 + after / before) / 2
        np.testing.assert_allclose(count - curve, KEPT["irof"][i], rtol=1e-4)


def test_faithfulness_correlation():
    """Sets of values, losses of logits, Pearson's correlation."""
    sums, losses = [], []
    flat = IMAGES.reshape(3, -1)
    for sets in KEPT["sets"]:
        without = flat.copy()
        np.put_along_axis(without, sets, 0, 1)
        logits = [np.asarray(model(x))[np.arange(3), LABELS] for x in (flat, without)]
        losses.append(logits[0] - logits[1])
        sums.append(np.take_along_axis(MAPS.reshape(3, -1), sets, 1).sum(1))
    pairs = (jnp.asarray(np.array(v).T) for v in (sums, losses))
    found = correlated(*pairs, "pearson")
    np.testing.assert_allclose(found, KEPT["faithfulness_correlation"], rtol=2e-3)


@pytest.mark.parametrize("size", quick(["even", "odd"], "even"))
def test_imputation(size):
    image, missing = KEPT[f"{size}.image"], KEPT[f"{size}.missing"]
    given = np.broadcast_to(image, (5, *image.shape))
    impute = jax.jit(imputation(jnp.asarray(missing[:, None]), given.dtype))
    found = impute(given)
    np.testing.assert_allclose(found, KEPT[f"{size}.imputed"], rtol=0, atol=1e-4)
    kept = np.broadcast_to(~missing[:, None], given.shape)
    np.testing.assert_array_equal(np.asarray(found)[kept], given[kept])
