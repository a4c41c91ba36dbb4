"""MobileNetV2 with torchvision's own weights, from the package that has them."""

import csv
import hashlib

import jax
import numpy as np
import pytest

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
        ("imagenet-sample", "crop", 0, 204),
        ("imagenet-val-boxes", "squash", 0, 200),
        ("nips17-ccby", "crop", 0, 150),
    ],
)
def test_top_1(file, assets, folder, preprocessing, expected, count):
    """To one photograph. Torch on the same files is the source of the figures."""
    image = pytest.importorskip("PIL.Image")
    with next((assets / folder).glob("*.tsv")).open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert len(rows) == count
    classifier = models.load(NAME, preprocessing=preprocessing)
    correct = 0
    for start in range(0, count, 50):
        batch = rows[start : start + 50]
        photos = [image.open(assets / folder / row["file"]) for row in batch]
        images = np.stack([classifier.preprocess(photo) for photo in photos])
        # One shape for all, so that it compiles once.
        images = np.concatenate([images, np.zeros_like(images[:1]).repeat(50, 0)])[:50]
        predicted = np.argmax(np.asarray(classifier(images)), -1)[: len(batch)]
        correct += np.sum(predicted == [int(row["class"]) for row in batch])
    print(f"{folder}: {correct} of {count}")
    assert abs(correct - expected) <= 1
