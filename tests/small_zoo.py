"""Small networks of the zoo's parts, in the catalog while a test needs them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import jax

from jaxattr import models
from jaxattr.models import maxvit, resnet, swin, vit
from jaxattr.models.catalog import MODELS
from jaxattr.models.entries import HALF, Entry, Source
from jaxattr.models.preprocessing import Preprocessing

SIZE = 16
BUILDS = {
    "small_resnet": functools.partial(
        resnet.ResNet, resnet.Shape((1, 1, 1, 1), groups=2, width=8)
    ),
    "small_vit": functools.partial(vit.ViT, vit.Shape(4, 16, 2, 2, 32, image=SIZE)),
    "small_maxvit": functools.partial(
        maxvit.MaxViT, maxvit.Shape(8, (8, 16), (1, 1), 4, 2)
    ),
    "small_swin": functools.partial(
        swin.Swin, swin.Shape(8, (2, 1), (1, 2), window=3, patch=2)
    ),
    "small_swin_v2": functools.partial(
        swin.Swin, swin.Shape(8, (2, 1), (1, 2), window=3, patch=2, second=True)
    ),
}


@contextlib.contextmanager
def in_catalog() -> Iterator[None]:
    prepare = {"squash": Preprocessing((SIZE, SIZE))}
    for name, build in BUILDS.items():
        MODELS[name] = Entry(build, {"drawn": Source(list, HALF, HALF, prepare)})
    yield
    for name in BUILDS:
        del MODELS[name]


@functools.cache
def load(name: str, seed: int = 0, **options) -> models.Classifier:
    options = {"key": jax.random.key(seed), "num_classes": 5} | options
    return models.load(name, "random", **options)
