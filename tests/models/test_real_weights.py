"""Published weights from outside the project, where there are any: see ``assets``."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import quick

from jaxattr import models
from jaxattr.checkpoints.reading import read_checkpoint
from jaxattr.models import chain
from jaxattr.models.convert import convert
from jaxattr.models.vit import Shape, ViT, timm_rules

NETWORKS = {
    "resnet50": ("resnet50_pqf-large_uber", {}),
    "resnet18": ("resnet18_pqf-small_uber", {}),
    "mobilenet_v2": ("mobilenet_v2_tf-qat_coral", {"padding": "tf_same"}),
    "squeezenet1_0": ("squeezenet1_0_dc_songhan", {}),
}


def load(assets, name, **options):
    file, needed = NETWORKS[name]
    return models.load(name, assets / f"{file}.safetensors", **needed | options)


def rows(folder):
    with next(folder.glob("*.tsv")).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def read(classifier, folder, rows):
    image = pytest.importorskip("PIL.Image")
    photos = (image.open(folder / row["file"]) for row in rows)
    return np.stack([classifier.preprocess(photo) for photo in photos])


@pytest.mark.slow
@pytest.mark.parametrize("name", quick(NETWORKS, "resnet18"))
def test_torchs_logits(assets, name):
    """Relative to the largest; torch computed them in float32."""
    classifier = load(assets, name)
    folder = assets / "imagenet-sample"
    images = read(classifier, folder, rows(folder)[:8])
    expected = np.load(assets / "reference_logits.npz")[NETWORKS[name][0]]
    error = np.abs(classifier(images) - expected).max() / np.abs(expected).max()
    print(f"{name}: {error:.1e}")
    assert error < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sample", "boxes", "nips"),
    [
        ("resnet50", 162, 159, 129),
        ("resnet18", 155, 148, 120),
        ("mobilenet_v2", 176, 155, 128),
        ("squeezenet1_0", 124, 134, 75),
    ],
)
def test_top_1(assets, name, sample, boxes, nips):
    """To one photograph of torch's count on the same files."""
    for folder, preprocessing, expected in (
        ("imagenet-sample", "crop", sample),
        ("imagenet-val-boxes", "squash", boxes),
        ("nips17-ccby", "crop", nips),
    ):
        classifier = load(assets, name, preprocessing=preprocessing)
        table, correct = rows(assets / folder), 0
        for start in range(0, len(table), 50):
            batch = table[start : start + 50]
            images = read(classifier, assets / folder, batch)
            # One shape for all, so that it compiles once.
            images = np.concatenate([images, np.zeros_like(images[:1]).repeat(50, 0)])
            predicted = np.argmax(np.asarray(classifier(images[:50])), -1)
            correct += np.sum(
                predicted[: len(batch)] == [int(row["class"]) for row in batch]
            )
        print(f"{name}, {folder}: {correct} of {len(table)}")
        assert abs(correct - expected) <= 1


@pytest.mark.slow
def test_the_mnist_vit(assets):
    """A trained transformer of other sizes, in timm's names: 97.91 % of 10 000."""
    shape = Shape(
        patch=7,
        channels=64,
        depth=6,
        num_heads=8,
        hidden=128,
        image=28,
        image_channels=1,
        qkv_bias=False,
        final_norm=False,
        head_hidden=128,
        epsilon=1e-5,
    )
    build = lambda: ViT(shape, num_classes=10)
    graph, state = nnx.split(nnx.eval_shape(build), nnx.Param)
    file = assets / "mnist_vit_pytorch-demo.safetensors"
    params = convert(
        read_checkpoint(file),
        timm_rules(shape),
        nnx.to_pure_dict(state),
        epsilon=1e-5,
        source=file.name,
    )

    @jax.jit
    def predict(params, images):
        x = (images[..., None] - 0.1307) / 0.3081
        return jnp.argmax(chain.run(nnx.merge(graph, params), x), -1)

    data = np.load(assets / "mnist_test10000.npz")
    images = data["x"].reshape(10, 1000, 28, 28).astype(np.float32) / np.float32(255)
    correct = np.sum([predict(params, x) for x in images] == data["y"].reshape(10, -1))
    print(f"{correct} of 10000")
    assert abs(correct - 9791) <= 2
