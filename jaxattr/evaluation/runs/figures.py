"""Figure files, drawn without touching pyplot, and the names of methods on them."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxattr.evaluation.runs.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# As the publications write them; other names only lose their underscores.
_TITLES = {
    "agi": "AGI",
    "attexplore": "AttEXplore",
    "attexplore_pp": "AttEXplore++",
    "big": "BIG",
    "bsg": "BSG",
    "bsm": "BSM",
    "fampe": "FAMPE",
    "guided_ig": "Guided IG",
    "input_x_gradient": "Input × gradient",
    "mfaba": "MFABA",
    "smoothgrad": "SmoothGrad",
}


def method_title(name: str) -> str:
    """The name of a method for readers.

    >>> method_title("integrated_gradients"), method_title("attexplore")
    ('Integrated gradients', 'AttEXplore')
    """
    return _TITLES.get(name, name.replace("_", " ").capitalize())


@contextlib.contextmanager
def one_panel(path: pathlib.Path, size: tuple[float, float]) -> Iterator[Axes]:
    """An ``Axes`` to draw on; the figure is written when the body is done."""
    figure = new_figure(size)
    yield figure.subplots()
    save(figure, path)


@contextlib.contextmanager
def one_figure(path: pathlib.Path, size: tuple[float, float]) -> Iterator[Figure]:
    """A figure to draw on, written when the body is done."""
    figure = new_figure(size)
    yield figure
    save(figure, path)


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


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty one, in inches."""
    return need_matplotlib()(figsize=size, layout="constrained")


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure, whole or not at all."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150, metadata={"Software": "jaxattr"})
