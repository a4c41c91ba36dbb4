"""Weights and photographs that studies use where they are, and never publish.

``JAXATTR_ASSETS`` names their folder; by default it is ``shared/assets`` beside the
repository.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import jaxattr as ja

_WEIGHTS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet50": ("resnet50_pqf-large_uber.safetensors", {}),
    "resnet18": ("resnet18_pqf-small_uber.safetensors", {}),
    "mobilenet_v2": ("mobilenet_v2_tf-qat_coral.safetensors", {"padding": "tf_same"}),
    "squeezenet1_0": ("squeezenet1_0_dc_songhan.safetensors", {}),
}


def folder() -> pathlib.Path:
    """Where the assets are, or would be."""
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared" / "assets"
    return pathlib.Path(os.environ.get("JAXATTR_ASSETS", beside))


def load(asked: str, **options: Any) -> Any:
    """The classifier ``NAME``, with weights from the assets if any, or ``NAME=FILE``."""
    name, _, weights = asked.partition("=")
    if not weights and name in _WEIGHTS:
        file, more = _WEIGHTS[name]
        weights, options = folder() / file, more | options
    return ja.models.load(name, weights or None, **options)
