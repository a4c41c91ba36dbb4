"""Three photographs, five methods, real classifiers: what ``jaxattr demo`` does."""

from __future__ import annotations

import os
import pathlib
from typing import NamedTuple

import numpy as np

from jaxattr.evaluation.explain.explain import explain_photographs
from jaxattr.evaluation.explain.explanations import Explanation, load_explanation
from jaxattr.evaluation.explain.outputs import Report, draw_curves, draw_maps
from jaxattr.evaluation.runs.files import atomic_write, make_folder
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import Run

MODEL = "efficientnet_lite0"
SECOND_MODEL = "mobilenet_v2"
"""Beside the first on one photograph, where the package of its weights is installed."""
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
    """The report and the figures of all photographs."""

    report: Report
    explanations: pathlib.Path
    curves: pathlib.Path
    networks: pathlib.Path | None
    """Both networks on the first photograph; None where the second is not installed."""


def run_demo(out: str | os.PathLike[str]) -> Demo:
    """Explains the photographs that come with scikit-image.

    Args:
      out: the folder for ``explanations.png``, ``curves.png``, ``networks.png`` where
        there is a second network, and the ``.npz`` files, its own in a folder of its
        name.

    Raises:
      ImportError: scikit-image is not installed; the message names the extra.
      OSError: ``out`` cannot be written.
    """
    from jaxattr import models

    folder = make_folder(out)
    photographs = [_bundled(name, folder) for name in PHOTOGRAPHS]
    second = models.installed(SECOND_MODEL)
    jobs = [(models.load(MODEL), photographs, folder)]
    if second:
        place = folder / SECOND_MODEL
        jobs.append((models.load(SECOND_MODEL), photographs[:1], place))
    total = len(METHODS) * sum(len(paths) for _, paths, _ in jobs)
    with Progress(total) as progress:
        reports = [
            explain_photographs(
                paths,
                classifier,
                METHODS,
                out=place,
                batch_size=BATCH_SIZE,
                curve_steps=CURVE_STEPS,
                draw=False,
                run=Run("demo", ["demo"], tuple(METHODS), [str(p) for p in paths]),
                progress=progress,
            )
            for classifier, paths, place in jobs
        ]
        progress.doing("drawing")
        # A row a photograph, of the first network, then of the second.
        rows = [row for report in reports for row in _by_photograph(report)]
        own = rows[: len(photographs)]
        maps, curves = folder / "explanations.png", folder / "curves.png"
        draw_maps(maps, own)
        draw_curves(curves, own)
        networks = folder / "networks.png" if second else None
        if networks is not None:
            draw_maps(networks, [own[0], rows[-1]])
    return Demo(reports[0], maps, curves, networks)


def _by_photograph(report: Report) -> list[list[Explanation]]:
    """What was explained, a list a photograph."""
    loaded = [load_explanation(row.file) for row in report.rows]
    n = len(METHODS)
    return [loaded[i : i + n] for i in range(0, len(loaded), n)]


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
