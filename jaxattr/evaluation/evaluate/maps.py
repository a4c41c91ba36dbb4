"""Maps that are kept beside the scores, and scored later without their explainer.

A map is kept in half precision on a scale of its own, a power of two near its largest
value: what rounding changes is at most 1/2048 of that, whatever the unit. ``pixel`` keeps
the sum over the channels, which the usual protocol of the curves orders pixels by,
``channel`` every channel.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxattr._checks import check_choice
from jaxattr.evaluation.evaluate.curves import Curve
from jaxattr.evaluation.evaluate.metric import AnyMetric
from jaxattr.evaluation.methods.requests import Requests, method_record
from jaxattr.evaluation.runs.parts import MadeFrom
from jaxattr.evaluation.runs.rows import RowFiles, Rows

KEPT = "kept"
"""The column: ``kept.map`` in float16, ``kept.scale`` what it is to be multiplied by."""
DETAILS = ("pixel", "channel")
"""What is kept: a number a pixel, or all channels."""
FOLDER = "maps"
"""In a folder of results."""


def map_tables(
    folder: pathlib.Path | None,
    detail: str,
    model: str,
    methods: Requests,
    known: MadeFrom,
) -> dict[str, Rows]:
    """Label of a method to where its maps are kept.

    Args:
      folder: of the results; None for memory.
      detail: one of ``DETAILS``.
      model: its name.
      methods: label to a method and its options.
      known: all that decides a map but for its method.
    """
    check_choice("save_maps", detail, DETAILS)
    files = RowFiles(None if folder is None else folder / FOLDER)
    about = {**known, "kind": FOLDER, "detail": detail}
    return {
        label: files.table(f"{model} {label}", {**about, **method_record(*pair)})
        for label, pair in methods.items()
    }


def pack(maps: np.ndarray, detail: str) -> dict[str, np.ndarray]:
    """Maps ``(n, H, W, C)`` as they are kept."""
    values = np.asarray(maps, np.float32)
    if detail == "pixel":
        values = values.sum(axis=-1)
    flat = np.abs(values.reshape(len(values), -1))
    largest = np.where(np.isfinite(flat), flat, 0).max(axis=1)
    _, exponent = np.frexp(largest)
    scale = np.ldexp(np.float32(1), exponent).astype(np.float32)
    scale = np.where(largest > 0, scale, np.float32(1))
    spread = scale.reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(over="ignore"):  # what was infinite stays so
        return {
            f"{KEPT}.map": (values / spread).astype(np.float16),
            f"{KEPT}.scale": scale,
        }


def unpack(kept: Mapping[str, np.ndarray], channels: int) -> np.ndarray:
    """Maps ``(n, H, W, C)`` of what was kept; a number a pixel is its first channel."""
    values = kept[f"{KEPT}.map"].astype(np.float32)
    scale = kept[f"{KEPT}.scale"].reshape(-1, *[1] * (values.ndim - 1))
    values = values * scale
    if values.ndim == 4:
        return values
    whole = np.zeros((*values.shape, channels), np.float32)
    whole[..., 0] = values
    return whole


def kept_detail(
    folder: pathlib.Path, tables_of: Callable[[str], Mapping[str, Rows]]
) -> str:
    """Which of ``DETAILS`` a folder has of these maps, the finer one first.

    Raises:
      ValueError: there are none.
    """
    for detail in reversed(DETAILS):
        if all(len(rows) for rows in tables_of(detail).values()):
            return detail
    raise ValueError(
        f"{folder}: has no maps of these models, methods and options; they are kept "
        "with --save-maps, and belong to weights, seed, batch size and options"
    )


def check_metrics(metrics: Sequence[AnyMetric], detail: str) -> None:
    """Refuses metrics that kept maps are not enough for.

    Raises:
      ValueError: one that asks for the explainer, or for channels that were not kept.
    """
    for metric in metrics:
        if metric.needs_explainer:
            raise ValueError(
                f"{metric.name}: explains other images too, which kept maps cannot"
            )
        by_pixel = isinstance(metric, Curve) and metric.order == "channel_sum"
        if detail == "pixel" and not by_pixel:
            raise ValueError(
                f"{metric.name} ({metric.protocol}): looks at the channels of a map, of "
                "which only the sum was kept; keep them with --save-maps channel"
            )


def size_line(
    shapes: Mapping[str, tuple[int, ...]], detail: str, methods: int, images: int
) -> str:
    """What the maps of a job will take, for readers.

    >>> size_line({"resnet50": (1, 224, 224, 3)}, "pixel", 18, 50_000)
    'maps: 18 methods, 50,000 images, one model: 90.3 GB in float16'
    """
    numbers = sum(
        int(np.prod(shape[1:3] if detail == "pixel" else shape[1:]))
        for shape in shapes.values()
    )
    size = 2 * numbers * methods * images
    units = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}
    unit, per = next((u, p) for u, p in units.items() if size >= p)
    models = "one model" if len(shapes) == 1 else f"{len(shapes)} models"
    what = f"{methods:,} method{'s' * (methods != 1)}, {images:,} images, {models}"
    return f"maps: {what}: {size / per:.1f} {unit} in float16"
