"""Inception-v3.

References:
  C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
  Architecture for Computer Vision", CVPR 2016, arXiv:1512.00567.
"""

from __future__ import annotations

import jax
from flax import nnx

from jaxattr.checkpoints.locations import Hub
from jaxattr.convolutions.max_pooling import max_pool
from jaxattr.convolutions.mean_pooling import global_mean, mean_pool
from jaxattr.models.activations import Activation
from jaxattr.models.branches import Branch, Branches, Fork, Unit, branch_rules
from jaxattr.models.chain import Chain
from jaxattr.models.convert import LayerRule, Rule
from jaxattr.models.entries import HALF, Entry, Source, photo_preprocessings
from jaxattr.models.layers import Linear
from jaxattr.models.preprocessing import Preprocessing
from jaxattr.typing import Array

ROW, COLUMN = (1, 7), (7, 1)


def _halve(name: str, outputs: int) -> Unit:
    return Unit(name, outputs, 3, 2, "valid")


def _max_pool(x: Array) -> Array:
    return max_pool(x, 3, 2)


def _mean_pool(x: Array) -> Array:
    return mean_pool(x, 3, 1)


def _a(pooled: int) -> tuple[Branch, ...]:
    return (
        (Unit("branch1x1", 64),),
        (Unit("branch5x5_1", 48), Unit("branch5x5_2", 64, 5)),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, 3),
            Unit("branch3x3dbl_3", 96, 3),
        ),
        (_mean_pool, Unit("branch_pool", pooled)),
    )


def _b() -> tuple[Branch, ...]:
    return (
        (_halve("branch3x3", 384),),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, 3),
            _halve("branch3x3dbl_3", 96),
        ),
        (_max_pool,),
    )


def _c(width: int) -> tuple[Branch, ...]:
    return (
        (Unit("branch1x1", 192),),
        (
            Unit("branch7x7_1", width),
            Unit("branch7x7_2", width, ROW),
            Unit("branch7x7_3", 192, COLUMN),
        ),
        (
            Unit("branch7x7dbl_1", width),
            Unit("branch7x7dbl_2", width, COLUMN),
            Unit("branch7x7dbl_3", width, ROW),
            Unit("branch7x7dbl_4", width, COLUMN),
            Unit("branch7x7dbl_5", 192, ROW),
        ),
        (_mean_pool, Unit("branch_pool", 192)),
    )


def _d() -> tuple[Branch, ...]:
    return (
        (Unit("branch3x3_1", 192), _halve("branch3x3_2", 320)),
        (
            Unit("branch7x7x3_1", 192),
            Unit("branch7x7x3_2", 192, ROW),
            Unit("branch7x7x3_3", 192, COLUMN),
            _halve("branch7x7x3_4", 192),
        ),
        (_max_pool,),
    )


def _e() -> tuple[Branch, ...]:
    def cross(name: str) -> Fork:
        return Fork((Unit(f"{name}a", 384, (1, 3)), Unit(f"{name}b", 384, (3, 1))))

    return (
        (Unit("branch1x1", 320),),
        (Unit("branch3x3_1", 384), cross("branch3x3_2")),
        (
            Unit("branch3x3dbl_1", 448),
            Unit("branch3x3dbl_2", 384, 3),
            cross("branch3x3dbl_3"),
        ),
        (_mean_pool, Unit("branch_pool", 192)),
    )


STEM: Branch = (
    Unit("Conv2d_1a_3x3", 32, 3, 2, "valid"),
    Unit("Conv2d_2a_3x3", 32, 3, padding="valid"),
    Unit("Conv2d_2b_3x3", 64, 3),
    _max_pool,
    Unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, 3, padding="valid"),
    _max_pool,
)
MIXED: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": _b(),
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": _d(),
    "Mixed_7b": _e(),
    "Mixed_7c": _e(),
}


class InceptionV3(nnx.Module):
    """Normalised images ``(N, H, W, 3)`` to logits ``(N, num_classes)``."""

    split_layer = "Mixed_7c"

    def __init__(
        self, *, num_classes: int = 1000, activation: Activation | None = None
    ):
        self.activation = jax.nn.relu if activation is None else activation
        self.stem = Branches(3, (STEM,), self.activation)
        channels = self.stem.outputs
        for name, branches in MIXED.items():
            block = Branches(channels, branches, self.activation)
            setattr(self, name, block)
            channels = block.outputs
        self.fc = Linear(channels, num_classes)

    def chain(self) -> Chain:  # noqa: D102
        return {
            "maxpool2": self.stem,
            **{name: getattr(self, name) for name in MIXED},
            "avgpool": global_mean,
            "fc": self.fc,
        }


def rules() -> list[Rule]:
    """Names as in torchvision, which timm shares."""
    return [
        *branch_rules("stem", "", (STEM,)),
        *(
            rule
            for name in MIXED
            for rule in branch_rules(name, f"{name}.", MIXED[name])
        ),
        LayerRule("fc", "fc"),
    ]


MODELS = {
    "inception_v3": Entry(
        build=InceptionV3,
        sources={
            # ImageNet's mean and deviation undone by ``transform_input``: [-1, 1].
            "torchvision": Source(
                rules,
                mean=HALF,
                std=HALF,
                preprocessings={
                    **photo_preprocessings(299, 342),
                    "squash_224": Preprocessing((224, 224), interpolation="bilinear"),
                },
                epsilon=1e-3,
                location=Hub("timm/inception_v3.tv_in1k", 77.29, 108.9),
                ignored_prefixes=("AuxLogits.",),
            ),
        },
    ),
}
