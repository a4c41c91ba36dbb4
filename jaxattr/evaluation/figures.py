"""The figure files of explanations, drawn without touching pyplot."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxattr import plots
from jaxattr.evaluation.explanations import Explanation
from jaxattr.evaluation.files import atomic_write

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


def draw_photograph(
    stem: pathlib.Path, explanations: Sequence[Explanation]
) -> list[pathlib.Path]:
    """Writes ``STEM.png`` and, where there are curves, ``STEM.curves.png``."""
    maps = stem.with_name(stem.name + ".png")
    draw_maps(maps, [explanations])
    if not explanations[0].insertion.size:
        return [maps]
    curves = stem.with_name(stem.name + ".curves.png")
    draw_curves(curves, [explanations])
    return [maps, curves]


def draw_maps(
    path: pathlib.Path, rows: Sequence[Sequence[Explanation]], **options: Any
) -> None:
    """One row for each photograph: itself, then its maps by the same methods.

    Args:
      path: the file to write.
      rows: for each photograph its explanations, the methods in the same order.
      **options: of ``plots.explanation_grid``.
    """
    figure = _figure(plots.grid_size(len(rows), len(rows[0])))
    plots.explanation_grid(
        np.stack([row[0].image for row in rows]),
        {
            method_title(first.method): np.stack([row[i].map for row in rows])
            for i, first in enumerate(rows[0])
        },
        captions=[row[0].caption for row in rows],
        figure=figure,
        **options,
    )
    _save(figure, path)


def draw_curves(path: pathlib.Path, rows: Sequence[Sequence[Explanation]]) -> None:
    """Insertion above deletion, one column for each photograph."""
    figure = _figure((3.6 * max(len(rows), 1), 5.6))
    axes = figure.subplots(2, len(rows), squeeze=False, sharey=True)
    for column, row in enumerate(rows):
        for kind, ax in zip(("insertion", "deletion"), axes[:, column], strict=True):
            plots.curves(
                {method_title(e.method): getattr(e, kind) for e in row},
                ax,
                title=f"{row[0].label_name}: {kind}",
                ylabel=None if column else "probability of the class",
            )
            verb = "shown" if kind == "insertion" else "removed"
            ax.set_xlabel(f"pixels {verb}", fontsize=9, color="#555555")
    _save(figure, path)


@contextlib.contextmanager
def one_panel(path: pathlib.Path, size: tuple[float, float]) -> Iterator[Any]:
    """An ``Axes`` to draw on; the figure is written when the body is done."""
    figure = _figure(size)
    yield figure.subplots()
    _save(figure, path)


@contextlib.contextmanager
def one_figure(path: pathlib.Path, size: tuple[float, float]) -> Iterator[Any]:
    """A figure to draw on, written when the body is done."""
    figure = _figure(size)
    yield figure
    _save(figure, path)


def need_matplotlib() -> Any:
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


def _figure(size: tuple[float, float]) -> Any:
    return need_matplotlib()(figsize=size, layout="constrained")


def _save(figure: Any, path: pathlib.Path) -> None:
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150, metadata={"Software": "jaxattr"})
