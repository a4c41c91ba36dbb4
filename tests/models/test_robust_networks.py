"""Published robust networks: names, what is around them, and the normalisation inside."""

import dataclasses
import functools

import goldens
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr import models
from jaxattr.models import swin
from jaxattr.models.catalog import MODELS
from jaxattr.models.cifar_wide_resnet import (
    CifarWideResNet,
    Shape,
    deepmind_rules,
    trades_rules,
)
from jaxattr.models.classifier import Config, skeleton
from jaxattr.models.conv_stem import ConvStem
from jaxattr.models.convert import expected_shapes

SHAPE = Shape(10, 1)
SWIN = swin.Shape(8, (1, 1, 1), (1, 1, 1), window=2)


def tensors_of(name, source, num_classes=10):
    entry = MODELS[name].sources[source]
    config = Config(name, source, num_classes, None, None, entry.padding, "crop")
    shapes = expected_shapes(entry.rules(), skeleton(config)[1])
    return goldens.checkpoint({n: max(s, key=len) for n, s in shapes.items()})


@pytest.fixture
def small(monkeypatch):
    """A wide network of six convolutions in both names."""
    entry = MODELS["cifar_wide_resnet28_10"]
    rules = {"robustbench": trades_rules, "deepmind": deepmind_rules}
    sources = {
        name: dataclasses.replace(source, rules=functools.partial(rules[name], SHAPE))
        for name, source in entry.sources.items()
    }
    build = functools.partial(CifarWideResNet, SHAPE)
    tiny = dataclasses.replace(entry, build=build, sources=sources)
    monkeypatch.setitem(MODELS, "small_wide", tiny)
    return "small_wide"


@pytest.mark.parametrize("source", ["robustbench", "deepmind"])
def test_wide_networks_against_numpy(small, source, tmp_path):
    tensors = tensors_of(small, source)
    path = tmp_path / "robust.npz"
    np.savez(path, **{f"module.{n}": t for n, t in tensors.items()})
    model = models.load(small, path)
    assert (model.config.source, model.num_classes) == (source, 10)
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    expected = wide_network(tensors, images.astype(np.float64), source)
    np.testing.assert_allclose(model(images), expected, rtol=2e-4, atol=2e-4)


def wide_network(tensors, images, source):
    """The network by its definition, in float64."""
    deepmind = source == "deepmind"
    get = lambda name: tensors[name].astype(np.float64)

    def active(x, norm):
        x = (x - get(f"{norm}.running_mean")) / np.sqrt(
            get(f"{norm}.running_var") + 1e-5
        )
        x = x * get(f"{norm}.weight") + get(f"{norm}.bias")
        return x / (1 + np.exp(-x)) if deepmind else np.maximum(x, 0)

    def conv(x, name, stride=1):
        kernel = get(f"{name}.weight")
        window = kernel.shape[2]
        low = 0 if window == 1 or (deepmind and stride == 2) else 1
        return convolved(x, kernel, stride, low, 0 if window == 1 else 1)

    if deepmind:
        mean = np.array([0.4914, 0.4822, 0.4465])
        images = (images - mean) / np.array([0.2471, 0.2435, 0.2616])
    x = conv(images, "init_conv" if deepmind else "conv1")
    parts = ("batchnorm_0", "conv_0", "batchnorm_1", "conv_1", "shortcut")
    if not deepmind:
        parts = ("bn1", "conv1", "bn2", "conv2", "convShortcut")
    for i in range(3):
        at = f"layer.{i}.block.0" if deepmind else f"block{i + 1}.layer.0"
        norm1, conv1, norm2, conv2, shortcut = (f"{at}.{part}" for part in parts)
        stride = 1 if i == 0 else 2
        inner = active(x, norm1)
        y = conv(active(conv(inner, conv1, stride), norm2), conv2)
        # A network of factor one keeps its channels in the first stage.
        x = y + (
            conv(inner, shortcut, stride) if f"{shortcut}.weight" in tensors else x
        )
    x = active(x, "batchnorm" if deepmind else "bn1").mean((1, 2))
    head = "logits" if deepmind else "fc"
    weights = get(f"{head}.weight").reshape(10, -1)
    return x @ weights.T + get(f"{head}.bias")


def convolved(x, kernel, stride, low, high):
    """Square images and kernels, with zeros before and after."""
    window = kernel.shape[2]
    x = np.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    rows = (x.shape[1] - window) // stride + 1
    out = 0
    for i in range(window):
        for j in range(window):
            seen = x[:, i : i + rows * stride : stride, j : j + rows * stride : stride]
            out = out + seen[:, :rows, :rows] @ kernel[:, :, i, j].T
    return out


def test_a_stem_of_convolutions_against_numpy():
    """ConvNeXt's and the vision transformers', with a matrix at its end."""
    layers = ((4, 2), (6, 1))
    stem = ConvStem(3, layers, jax.nn.softplus, outputs=5)
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    images = draw(2, 8, 8, 3)
    x = images.astype(np.float64)
    for conv, norm, (outputs, stride) in zip(
        stem.convs, stem.norms, layers, strict=True
    ):
        kernel, bias = draw(outputs, x.shape[-1], 3, 3), draw(outputs)
        scale, shift = draw(outputs), draw(outputs)
        conv.kernel[...], conv.bias[...] = kernel.transpose(2, 3, 1, 0), bias
        norm.scale[...], norm.bias[...] = scale, shift
        x = convolved(x, kernel.astype(np.float64), stride, 1, 1) + bias
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale + shift
        x = np.log1p(np.exp(x))
    matrix = draw(6, 5)
    stem.project.kernel[...] = matrix
    got = jax.jit(lambda images: stem(images))(images)
    np.testing.assert_allclose(got, x @ matrix, rtol=1e-4, atol=1e-5)


def test_swin_in_its_authors_names(monkeypatch, tmp_path):
    """Robust files have these; a merging belongs to the stage before it there."""
    names = {"timm": swin.TIMM, "microsoft": swin.MICROSOFT}
    entry = MODELS["swin_t"]
    sources = {
        name: dataclasses.replace(
            entry.sources[name], rules=functools.partial(swin.rules, SWIN, names[name])
        )
        for name in names
    }
    build = functools.partial(swin.Swin, SWIN)
    small = dataclasses.replace(entry, build=build, sources=sources)
    monkeypatch.setitem(MODELS, "small_swin_stages", small)
    tensors = tensors_of("small_swin_stages", "timm")
    authors = {
        n.replace("layers.1.downsample", "layers.0.downsample")
        .replace("layers.2.downsample", "layers.1.downsample")
        .replace("head.fc", "head"): t
        for n, t in tensors.items()
    }
    assert set(authors) != set(tensors)
    authors["layers.0.blocks.1.attn_mask"] = np.zeros((4, 4, 4), np.float32)
    np.savez(tmp_path / "timm.npz", **tensors)
    np.savez(tmp_path / "authors.npz", **{f"module.{n}": t for n, t in authors.items()})
    load = functools.partial(models.load, "small_swin_stages", num_classes=10)
    a, b = load(tmp_path / "timm.npz"), load(tmp_path / "authors.npz")
    assert (a.config.source, b.config.source) == ("timm", "microsoft")
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    assert all(np.array_equal(x, y) for x, y in leaves)


def test_a_network_of_the_robustness_library(tmp_path):
    """Its normaliser goes before the catalog's, its second copy is left out."""
    tensors = tensors_of("squeezenet1_1", "torchvision", 5)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    path = tmp_path / "robust.npz"
    np.savez(
        path,
        **{f"module.model.{n}": t for n, t in tensors.items()},
        **{f"module.attacker.model.{n}": t + 1 for n, t in tensors.items()},
        **{"module.normalizer.new_mean": mean, "module.normalizer.new_std": std},
    )
    model = models.load("squeezenet1_1", path, num_classes=5)
    plain = tmp_path / "plain.npz"
    np.savez(plain, **tensors)
    reference = models.load("squeezenet1_1", plain, num_classes=5)
    assert reference.notes == ()
    assert len(model.notes) == 3
    images = jax.random.uniform(jax.random.key(0), (1, 40, 40, 3))
    own = reference.config.weights
    shifted = (np.asarray(images) - mean) / std * own.std + own.mean
    expected = reference(jnp.asarray(shifted, jnp.float32))
    np.testing.assert_allclose(model(images), expected, rtol=1e-3, atol=1e-4)
    # What is asked for goes before both.
    asked = models.load("squeezenet1_1", plain, num_classes=5, normalize=(mean, std))
    assert asked.config.normalisation == model.config.normalisation
    back = models.load("squeezenet1_1", path, num_classes=5, normalize="imagenet")
    assert back.config == reference.config
    as_it_is = models.load("squeezenet1_1", path, num_classes=5, normalize=(0.0, 1.0))
    assert as_it_is.config.normalisation == ((0.0,) * 3, (1.0,) * 3)
    with pytest.raises(ValueError, match="normalize: expected"):
        models.load("squeezenet1_1", plain, num_classes=5, normalize=(0.5, 0.0))


def test_prefixes_compile_nothing_anew(tmp_path):
    tensors = tensors_of("squeezenet1_1", "torchvision", 5)
    np.savez(tmp_path / "a.npz", **tensors)
    np.savez(tmp_path / "b.npz", **{f"_orig_mod.{n}": t for n, t in tensors.items()})
    a, b = (
        models.load("squeezenet1_1", tmp_path / f"{name}.npz", num_classes=5)
        for name in "ab"
    )
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert str(jax.tree.structure(a)) == str(jax.tree.structure(b))
    assert b.notes == ("_orig_mod. is taken off its names",)


def test_a_checkpoint_of_another_layout_says_what_it_is(tmp_path):
    path = tmp_path / "cifar.npz"
    np.savez(path, **tensors_of("cifar_resnet18", "robustbench"))
    with pytest.raises(ValueError, match="does not fit") as error:
        models.load("resnet18", path, num_classes=10)
    summary = str(error.value).splitlines()[0]
    assert summary.endswith("its names are those of cifar_resnet18 (robustbench)")
    strange = tmp_path / "strange.npz"
    np.savez(strange, **{"stem.kernel": np.zeros((3, 3), np.float32)})
    with pytest.raises(ValueError, match="does not fit") as error:
        models.load("cifar_wide_resnet28_10", strange)
    assert (
        "its names are stem.kernel, ..., and those of cifar_wide_resnet28_10 conv1, "
        "block1.layer.0.bn1" in str(error.value)
    )
    assert "init_conv, layer.0.block.0.batchnorm_0" in str(error.value)
