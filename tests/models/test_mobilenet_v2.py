"""MobileNetV2 with torchvision's own weights, from the package that has them."""

import hashlib

import jax
import numpy as np
import pytest
from labelled_photographs import count_correct

from jaxattr import models
from jaxattr.models.mobilenet_v2 import PACKAGE

NAME = "mobilenet_v2"


@pytest.fixture(scope="module")
def file():
    path = PACKAGE.find()
    if path is None:
        pytest.skip(PACKAGE.missing())
    return path


def test_it_is_torchvisions_file(file):
    """Which has the first digits of its SHA-256 in its name."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest.startswith("b0353104")
    assert models.installed(NAME)


@pytest.mark.slow
def test_the_cat(file):
    data = pytest.importorskip("skimage.data")
    classifier = models.load(NAME)
    assert classifier.config.source == "torchvision"
    photo = classifier.preprocess(data.chelsea())[None]
    probabilities = np.asarray(jax.nn.softmax(classifier(photo)))[0]
    assert classifier.labels[probabilities.argmax()] in ("tabby", "tiger cat")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "preprocessing", "expected", "count"),
    [
        ("imagenet-sample", "crop", 164, 204),
        ("imagenet-val-boxes", "squash", 154, 200),
        ("nips17-ccby", "crop", 124, 150),
    ],
)
def test_top_1(file, assets, folder, preprocessing, expected, count):
    """As measured here, to one photograph; torch was not asked on these files."""
    classifier = models.load(NAME, preprocessing=preprocessing)
    correct = count_correct(classifier, assets / folder, count)
    assert abs(correct - expected) <= 1
