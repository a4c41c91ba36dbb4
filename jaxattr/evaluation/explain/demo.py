"""Three photographs, five methods, a real classifier: what ``jaxattr demo`` does."""

from __future__ import annotations

import os
import pathlib
from typing import NamedTuple

import numpy as np

from jaxattr.evaluation.explain.explain import explain_photographs
from jaxattr.evaluation.explain.explanations import load_explanation
from jaxattr.evaluation.explain.outputs import Report, draw_curves, draw_maps
from jaxattr.evaluation.runs.files import atomic_write, make_folder
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import Run

MODEL = "efficientnet_lite0"
PHOTOGRAPHS = ("chelsea", "coffee", "rocket")
# Fewer samples and curve points than the defaults, so that two CPU cores are done in a
# minute or two. What fits one call of the model also compiles in half the time.
BATCH_SIZE = 16
CURVE_STEPS = 56
METHODS: dict[str, dict[str, object]] = {
    "saliency": {},
    "smoothgrad": {"num_samples": 16},
    "integrated_gradients": {"num_steps": 16, "rule": "gauss-legendre"},
    "guided_ig": {},
    "attexplore": {"num_samples": 8},
}


class Demo(NamedTuple):
    """The report and the two figures of all photographs."""

    report: Report
    explanations: pathlib.Path
    curves: pathlib.Path


def run_demo(out: str | os.PathLike[str]) -> Demo:
    """Explains the photographs that come with scikit-image.

    Args:
      out: the folder for ``explanations.png``, ``curves.png`` and the ``.npz`` files.

    Raises:
      ImportError: scikit-image is not installed; the message names the extra.
      OSError: ``out`` cannot be written.
    """
    from jaxattr import models

    folder = make_folder(out)
    photographs = [_bundled(name, folder) for name in PHOTOGRAPHS]
    classifier = models.load(MODEL)
    with Progress(len(METHODS) * len(PHOTOGRAPHS)) as progress:
        report = explain_photographs(
            photographs,
            classifier,
            METHODS,
            out=folder,
            batch_size=BATCH_SIZE,
            curve_steps=CURVE_STEPS,
            draw=False,
            run=Run("demo", ["demo"], tuple(METHODS), [str(p) for p in photographs]),
            progress=progress,
        )
        progress.doing("drawing")
        loaded = [load_explanation(row.file) for row in report.rows]
        n = len(METHODS)
        rows = [loaded[i : i + n] for i in range(0, len(loaded), n)]
        maps, curves = folder / "explanations.png", folder / "curves.png"
        draw_maps(maps, rows)
        draw_curves(curves, rows)
    return Demo(report, maps, curves)


def _bundled(name: str, folder: pathlib.Path) -> pathlib.Path:
    """The file of a photograph of scikit-image."""
    try:
        import skimage
    except ImportError:
        raise ImportError(
            "the demo's photographs come with scikit-image: pip install 'jaxattr[demo]'"
        ) from None
    for suffix in (".png", ".jpg"):
        path = pathlib.Path(skimage.__file__).parent / "data" / f"{name}{suffix}"
        if path.is_file():
            return path
    # A release that no longer bundles it may have it in its cache, or fetch it.
    from PIL import Image
    from skimage import data

    path = folder / f"{name}.png"
    with atomic_write(path) as file:
        Image.fromarray(np.asarray(getattr(data, name)())).save(file, format="png")
    return path
