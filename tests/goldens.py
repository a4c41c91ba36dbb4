"""Networks whose weights are drawn by a rule, and what torch made of them.

A golden file holds no weights: they are drawn from their names, here and in
``make_goldens.py`` of ``tests/models`` and of ``tests/rules``, and compared by a
checksum.
"""

from __future__ import annotations

import pathlib
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from jaxattr.models.catalog import MODELS
from jaxattr.models.classifier import Classifier, Config, layer_names, skeleton
from jaxattr.models.convert import expected_shapes
from jaxattr.models.loading import from_tensors

FOLDER = pathlib.Path(__file__).parent / "models" / "goldens"
NUM_CLASSES = 10
MAX_MISSING = 1
"""Layers that are a function, not a module, in torch: nothing there can be looked at."""
SAMPLES = 16
"""Values of a layer that are kept, beside its mean and standard deviation."""


class Case(NamedTuple):
    """A model, whose names its weights have, and how large the images are."""

    model: str
    source: str
    size: int = 64
    slow: bool = False

    @property
    def path(self) -> pathlib.Path:
        return FOLDER / f"{self.model}-{self.source}.npz"


# The default one is the one that compiles in a second or two.
CASES = (
    Case("resnet18", "torchvision"),
    Case("resnet50", "torchvision", slow=True),
    Case("resnext50_32x4d", "torchvision", slow=True),
    Case("squeezenet1_0", "torchvision", slow=True),
    Case("squeezenet1_1", "torchvision", slow=True),
    Case("mobilenet_v2", "torchvision", slow=True),
    Case("mobilenet_v2", "timm", slow=True),
    Case("inception_v3", "torchvision", 96, slow=True),
    Case("vit_tiny_patch16_224", "timm", 224, slow=True),
    Case("resnet34", "torchvision", slow=True),
    Case("resnet101", "torchvision", slow=True),
    Case("resnet152", "torchvision", slow=True),
    Case("wide_resnet50_2", "torchvision", slow=True),
    Case("wide_resnet101_2", "torchvision", slow=True),
    Case("resnext101_32x8d", "torchvision", slow=True),
    Case("resnext101_64x4d", "torchvision", slow=True),
    Case("vgg11", "torchvision", slow=True),
    Case("vgg11_bn", "torchvision", slow=True),
    Case("vgg13", "torchvision", slow=True),
    Case("vgg13_bn", "torchvision", slow=True),
    Case("vgg16", "torchvision", slow=True),
    Case("vgg16_bn", "torchvision", slow=True),
    Case("vgg19", "torchvision", slow=True),
    Case("vgg19_bn", "torchvision", slow=True),
    Case("vgg11", "timm", slow=True),
    Case("vgg11_bn", "timm", slow=True),
    Case("vgg13", "timm", slow=True),
    Case("vgg13_bn", "timm", slow=True),
    Case("vgg16", "timm", slow=True),
    Case("vgg16_bn", "timm", slow=True),
    Case("vgg19", "timm", slow=True),
    Case("vgg19_bn", "timm", slow=True),
    Case("vit_b_16", "torchvision", 224, slow=True),
    Case("vit_b_16", "timm", 224, slow=True),
    Case("vit_b_32", "torchvision", 224, slow=True),
    Case("vit_b_32", "timm", 224, slow=True),
    Case("vit_l_16", "torchvision", 224, slow=True),
    Case("vit_l_16", "timm", 224, slow=True),
    Case("vit_small_patch16_224", "timm", 224, slow=True),
    Case("deit_tiny_patch16_224", "timm", 224, slow=True),
    Case("deit_small_patch16_224", "timm", 224, slow=True),
    Case("maxvit_t", "torchvision", 224, slow=True),
    Case("alexnet", "torchvision", slow=True),
    Case("googlenet", "torchvision", slow=True),
    Case("densenet121", "torchvision", slow=True),
    Case("densenet161", "torchvision", slow=True),
    Case("densenet169", "torchvision", slow=True),
    Case("densenet201", "torchvision", slow=True),
    Case("mobilenet_v3_small", "torchvision", slow=True),
    Case("mobilenet_v3_large", "torchvision", slow=True),
    Case("mobilenet_v3_small", "timm", slow=True),
    Case("mobilenet_v3_large", "timm", slow=True),
    Case("mnasnet0_5", "torchvision", slow=True),
    Case("mnasnet0_75", "torchvision", slow=True),
    Case("mnasnet1_0", "torchvision", slow=True),
    Case("mnasnet1_3", "torchvision", slow=True),
    Case("mnasnet1_0", "timm", slow=True),
    *(Case(f"efficientnet_lite{i}", "timm", slow=True) for i in range(5)),
    *(
        Case(f"efficientnet_{name}", source, slow=True)
        for name in ("b0", "b1", "b2", "b3", "b4", "v2_s")
        for source in ("torchvision", "timm")
    ),
    Case("shufflenet_v2_x0_5", "torchvision", slow=True),
    Case("shufflenet_v2_x1_0", "torchvision", slow=True),
    Case("shufflenet_v2_x1_5", "torchvision", slow=True),
    Case("shufflenet_v2_x2_0", "torchvision", slow=True),
    *(
        Case(f"regnet_{name}", source, slow=True)
        for name in (
            *("x_400mf", "x_800mf", "x_1_6gf", "x_3_2gf", "x_8gf", "x_16gf", "x_32gf"),
            *("y_400mf", "y_800mf", "y_1_6gf", "y_3_2gf", "y_8gf", "y_16gf", "y_32gf"),
        )
        for source in ("torchvision", "timm")
    ),
    *(
        Case(f"convnext_{name}", source, slow=True)
        for name in ("tiny", "small", "base")
        for source in ("torchvision", "timm")
    ),
    *(
        Case(f"swin_{name}", source, size, slow=True)
        for name, size in (("t", 224), ("s", 224), ("b", 224), ("v2_t", 256))
        for source in ("torchvision", "timm")
    ),
    Case("cifar_resnet18", "robustbench", 32, slow=True),
    Case("cifar_resnet50", "robustbench", 32, slow=True),
    Case("cifar_wide_resnet28_10", "robustbench", 32, slow=True),
)


def config(case: Case) -> Config:
    """The network of a case, with the options that all have in common."""
    return Config(
        name=case.model,
        source=case.source,
        num_classes=NUM_CLASSES,
        activation=None,
        dtype=None,
        padding=MODELS[case.model].sources[case.source].padding,
        preprocessing="crop",
    )


def drawn(case: Case) -> tuple[Classifier, int]:
    """The classifier with drawn weights, and their checksum."""
    chosen = config(case)
    shapes = expected_shapes(chosen.weights.rules(), skeleton(chosen)[1])
    tensors = checkpoint({name: max(s, key=len) for name, s in shapes.items()})
    params = from_tensors(chosen, tensors, "drawn")
    return Classifier(params, chosen), checksum(tensors)


def missing_layers(case: Case, names: Iterable[str]) -> list[str]:
    """The layers of a network that are not among ``names``."""
    there = set(map(str, names))
    return [name for name in layer_names(config(case)) if name not in there]


def images(size: int, channels: int = 3) -> np.ndarray:
    """Two images ``(2, size, size, channels)`` in [0, 1]."""
    rng = np.random.default_rng(size)
    return rng.random((2, size, size, channels), np.float32)


def draw(name: str, shape: Iterable[int]) -> np.ndarray:
    """A tensor by its name in the checkpoint; statistics of norms are not trivial.

    Other shapes of as many numbers give the same numbers.
    """
    shape = tuple(shape)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    normal = rng.standard_normal(shape, np.float32)
    last = name.rpartition(".")[2]
    if last == "running_var":
        return np.exp(normal / 2).clip(0.3, 3)
    if last in ("gamma", "layer_scale"):
        return normal * np.float32(0.5)
    if last == "running_mean" or "pos_emb" in name or "position_bias" in name:
        return normal * np.float32(0.3)
    if len(shape) == 1:
        return np.float32(0.8 if last == "weight" else 0) + normal * np.float32(0.2)
    if "token" in name:
        return normal
    return normal * np.float32((1.5 / np.prod(shape[1:])) ** 0.5)


def checkpoint(shapes: Mapping[str, Iterable[int]]) -> dict[str, np.ndarray]:
    """A tensor for each name."""
    return {name: draw(name, shapes[name]) for name in sorted(shapes)}


def checksum(tensors: Mapping[str, np.ndarray]) -> int:
    """Of all numbers, in the order of the names."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(np.ascontiguousarray(tensors[name]).data.cast("B"), total)
    return total


def summary(values: np.ndarray) -> np.ndarray:
    """``(SAMPLES + 2,)``: mean, standard deviation and some values of an array."""
    values = np.asarray(values, np.float64)
    positions = np.random.default_rng(values.size).integers(0, values.size, SAMPLES)
    return np.array([values.mean(), values.std(), *values.reshape(-1)[positions]])
