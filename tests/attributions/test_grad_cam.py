"""Grad-CAM against its equation, and the promises of every explainer."""

import csv
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from quick import quick
from split_toy import MODEL, PARAMS, Toy, features_and_slopes, resized

import jaxattr as ja

KEYLESS = {"images": toys.images(3, 8, 6), "labels": toys.labels(3)}


def reference(images, labels, relu=True):
    """Image by image in float64."""
    maps = []
    for image, label in zip(images, labels):
        features, slopes = features_and_slopes(image, label)
        cam = np.sum(slopes.mean((0, 1)) * features, -1)
        maps.append(resized(np.maximum(cam, 0) if relu else cam))
    return np.repeat(np.array(maps)[..., None], images.shape[-1], -1)


@pytest.mark.parametrize("relu", [True, False])
def test_equation(relu):
    maps = ja.grad_cam(MODEL, **KEYLESS, relu=relu)
    expected = reference(*KEYLESS.values(), relu=relu)
    assert (np.abs(expected).max((1, 2, 3)) > 0).sum() > 1
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)


def test_channels_first_are_refused():
    """Read as places they would make a map that means nothing."""
    images, labels = toys.images(2, 16, 12), toys.labels(2)

    def halves(order):
        features = lambda x: jnp.tile(x[:, ::2, ::2], 20).transpose(order)
        head = lambda f: f.transpose(np.argsort(order))[..., :4].mean((1, 2))
        return ja.models.Split(features, head)

    assert ja.grad_cam(halves((0, 1, 2, 3)), images, labels).shape == images.shape
    with pytest.raises(ValueError, match=r"channels first.*got .*\[2, 60, 8, 6\]"):
        ja.grad_cam(halves((0, 3, 1, 2)), images, labels)


def test_tokens_are_laid_out_in_a_square():
    images = toys.images(3, 6, 6)
    maps = ja.grad_cam(Toy(PARAMS, tokens=True), images, toys.labels())
    expected = ja.grad_cam(MODEL, images, toys.labels())
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.slow
def test_float64_is_kept():
    with toys.float64():
        images = toys.images(3, 8, 6, dtype=jnp.float64)
        maps = ja.grad_cam(MODEL, images, toys.labels())
        assert maps.dtype == jnp.float64
        expected = reference(images, toys.labels())
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", quick([1, 2, 3, 7], 2))
def test_batches_and_jit_change_nothing(batch_size):
    rows = []

    class Counting(NamedTuple):
        features: Any
        head: Any

    def features(x):
        rows.append(len(x))
        return MODEL.features(x)

    model = Counting(features, MODEL.head)
    run = jax.jit(lambda x, y: ja.grad_cam(model, x, y, batch_size=batch_size))
    expected = ja.grad_cam(MODEL, **KEYLESS)
    np.testing.assert_allclose(run(*KEYLESS.values()), expected, atol=1e-6)
    assert max(rows) <= batch_size


def test_gradient_through_the_map():
    with toys.float64():
        images = toys.images(1, 8, 6, dtype=jnp.float64)
        total = jax.jit(
            lambda x: jnp.sum(
                ja.grad_cam(MODEL, x, toys.labels(1), relu=False) * jnp.cos(9 * images)
            )
        )
        direction = jnp.sin(7 * images)
        slope = jnp.vdot(jax.grad(total)(images), direction)
        step = 1e-5
        ends = total(images + step * direction), total(images - step * direction)
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(
    "axis_type", quick([AxisType.Auto, AxisType.Explicit], AxisType.Explicit)
)
@pytest.mark.slow
def test_sharded_equals_unsharded(axis_type):
    images, labels = toys.images(8, 8, 6), toys.labels(8)
    expected = ja.grad_cam(MODEL, images, labels)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    rows = NamedSharding(mesh, P("data"))
    with jax.set_mesh(mesh):
        run = jax.jit(lambda x, y: ja.grad_cam(MODEL, x, y))
        maps = run(jax.device_put(images, rows), jax.device_put(labels, rows))
    assert maps.sharding.spec[0] == "data"
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits_fn": MODEL.features}, "logits_fn: .*features and head.*split"),
        ({"images": np.zeros((8, 6, 3), np.float32)}, r"images: .*\(N, H, W, C\)"),
        ({"labels": np.zeros(2, int)}, r"labels: .*\(3,\)"),
        ({"batch_size": 0}, "batch_size: .*at least 1"),
    ],
)
def test_misuse(change, message):
    given = {"logits_fn": MODEL, **KEYLESS} | change
    with pytest.raises(ValueError, match=message):
        ja.grad_cam(**given)


@pytest.mark.slow
def test_features_without_places():
    model = ja.models.load("resnet18", "random", key=jax.random.key(0), num_classes=4)
    images = jnp.zeros((1, 32, 32, 3))
    with pytest.raises(ValueError, match="logits_fn: .*split at another layer, got"):
        ja.grad_cam(model.split("avgpool"), images, jnp.array([0]))


@pytest.mark.slow
def test_a_classifier_is_split_by_itself_and_for_an_attack():
    """At its default layer; the attack on features takes the halves."""
    options = {"key": jax.random.key(0), "num_classes": 4}
    model = ja.models.load("squeezenet1_1", "random", **options)
    assert repr(model.features) == repr(model.split("features.12").features)
    images, labels = toys.images(2, 32, 32), toys.labels(2)
    maps = jax.jit(ja.grad_cam)(model, images, labels)
    assert maps.shape == images.shape
    assert jnp.abs(maps).max() > 0

    attack = ja.attacks.naa(*model.split("features.5"), num_points=2)
    options = {"key": jax.random.key(0), "epsilon": 0.05, "num_steps": 1}
    run = jax.jit(lambda x, y: ja.attacks.run(attack, model, x, y, **options))
    moved = jnp.abs(run(images, labels).images - images)
    assert 0 < moved.max() <= 0.0501


@pytest.mark.slow
def test_peaks_lie_in_the_boxes(assets):
    """A trained ResNet-18 on 200 photographs with boxes; 91 % on 400 such."""
    image = pytest.importorskip("PIL.Image")
    path = assets / "resnet18_pqf-small_uber.safetensors"
    model = ja.models.load("resnet18", path, preprocessing="squash")
    folder = assets / "imagenet-val-boxes"
    with (folder / "boxes.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    explain, hits = jax.jit(ja.grad_cam), 0
    for start in range(0, len(rows), 50):
        batch = rows[start : start + 50]
        photos = [model.preprocess(image.open(folder / row["file"])) for row in batch]
        labels = jnp.array([int(row["class"]) for row in batch])
        maps = np.asarray(explain(model, np.stack(photos), labels))[..., 0]
        for row, peak in zip(batch, maps.reshape(len(batch), -1).argmax(1)):
            y, x = (v * 227 / 224 for v in np.unravel_index(peak, maps.shape[1:]))
            boxes = [b.split(",") for b in row["boxes_xyxy_in_227px"].split(";")]
            x0, y0, x1, y1 = np.array(boxes, float).T
            hits += np.any((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1))
    print(f"{hits} of {len(rows)}")
    assert hits / len(rows) > 0.86
