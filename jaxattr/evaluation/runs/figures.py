"""Figure files, drawn without touching pyplot, and the names of methods on them."""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxattr.evaluation.runs.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# As the publications write them; other names only lose their underscores.
_TITLES = {
    "ablation_cam": "Ablation-CAM",
    "agi": "AGI",
    "attexplore": "AttEXplore",
    "attexplore_pp": "AttEXplore++",
    "big": "BIG",
    "blur_ig": "Blur IG",
    "bsg": "BSG",
    "bsm": "BSM",
    "deeplift": "DeepLIFT",
    "eigen_cam": "Eigen-CAM",
    "fampe": "FAMPE",
    "grad_cam": "Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
    "guided_ig": "Guided IG",
    "hires_cam": "HiResCAM",
    "idgi": "IDGI",
    "input_x_gradient": "Input × gradient",
    "isa": "ISA",
    "kernel_shap": "KernelSHAP",
    "la": "LA",
    "layer_cam": "LayerCAM",
    "legrad": "LeGrad",
    "lime": "LIME",
    "lrp": "LRP",
    "mfaba": "MFABA",
    "rise": "RISE",
    "score_cam": "Score-CAM",
    "smoothgrad": "SmoothGrad",
    "xgrad_cam": "XGrad-CAM",
}


def method_title(name: str) -> str:
    """The name of a method for readers.

    >>> method_title("integrated_gradients"), method_title("attexplore")
    ('Integrated gradients', 'AttEXplore')
    """
    return _TITLES.get(name, name.replace("_", " ").capitalize())


class FigureFiles(NamedTuple):
    """How figures are written."""

    formats: tuple[str, ...] = ("png",)
    """Some of ``FORMATS``: a file each, under the same name."""
    dpi: int = 150
    """Of pixels, in ``png`` and within the others."""
    colors: str | None = None
    """A colour map of matplotlib for maps; None for blue, white and red."""
    overlay: bool = False
    """Whether maps lie over their photographs."""

    def paths(self, path: pathlib.Path) -> list[pathlib.Path]:
        """The files of a figure."""
        return [path.with_suffix(f".{name}") for name in self.formats]


FORMATS = ("png", "pdf", "svg")
DEFAULT = FigureFiles()

# Text of a PDF stays text, in a font that is embedded and that journals take; in an SVG
# letters are outlines, since a font that the reader lacks would move everything.
# Numbers that would be drawn at random are the same every time.
_VECTORS: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "jaxattr",
}
_METADATA: Mapping[str, dict[str, str | None]] = {
    "png": {"Software": "jaxattr"},
    "pdf": {"Creator": "jaxattr", "Producer": "jaxattr", "CreationDate": None},
    "svg": {"Creator": "jaxattr", "Date": None},
}


@contextlib.contextmanager
def one_panel(
    path: pathlib.Path, size: tuple[float, float], files: FigureFiles = DEFAULT
) -> Iterator[Axes]:
    """An ``Axes`` to draw on; the figure is written when the body is done."""
    figure = new_figure(size)
    yield figure.subplots()
    save(figure, path, files)


@contextlib.contextmanager
def one_figure(
    path: pathlib.Path, size: tuple[float, float], files: FigureFiles = DEFAULT
) -> Iterator[Figure]:
    """A figure to draw on, written when the body is done."""
    figure = new_figure(size)
    yield figure
    save(figure, path, files)


def need_matplotlib() -> type[Figure]:
    """The class of figures, asked for before work starts that ends in one.

    Raises:
      ImportError: matplotlib is not installed; the message names the extra.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "figures need matplotlib: pip install 'jaxattr[app]'"
        ) from None
    return Figure


def check_matplotlib() -> None:
    """Raises as ``need_matplotlib`` does, and loads nothing."""
    if importlib.util.find_spec("matplotlib") is None:
        need_matplotlib()


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty one, in inches."""
    return need_matplotlib()(figsize=size, layout="constrained")


def save(figure: Figure, path: pathlib.Path, files: FigureFiles = DEFAULT) -> None:
    """Writes a figure in each format, each file whole or not at all."""
    import matplotlib

    for name, file_path in zip(files.formats, files.paths(path), strict=True):
        about = _METADATA[name]
        with matplotlib.rc_context(_VECTORS), atomic_write(file_path) as file:
            figure.savefig(file, format=name, dpi=files.dpi, metadata=about)
