"""The table and the figures of explained photographs."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxattr import metrics, plots
from jaxattr.evaluation.evaluate.curves import CURVES
from jaxattr.evaluation.explain.explanations import Explanation
from jaxattr.evaluation.runs.figures import (
    DEFAULT,
    FigureFiles,
    method_title,
    new_figure,
    save,
)
from jaxattr.evaluation.runs.notebook import table_html
from jaxattr.evaluation.runs.tables import TextTable


class Row(NamedTuple):
    """One line of the table: one photograph by one method."""

    photograph: str
    label: str
    probability: float
    method: str
    insertion: float
    """Area under the insertion curve, NaN where none was asked for."""
    deletion: float
    seconds: float
    """To explain, compilation apart; a boundary search that is shared counts for each."""
    file: pathlib.Path
    """The ``.npz`` with the raw map."""


class Report(NamedTuple):
    """What came of a job."""

    rows: tuple[Row, ...]
    broken: tuple[str, ...]
    """One line for each photograph that could not be read: which, and why."""
    not_found: tuple[str, ...]
    """One line for each photograph without a boundary: which, and what of its maps."""
    figures: tuple[pathlib.Path, ...]

    def _repr_html_(self) -> str:
        """In a notebook: its table."""
        return table_html(*self.table())

    def table(self) -> TextTable:
        """Header and rows for ``format_table``; scores only where there are curves."""
        columns = {
            "photograph": [row.photograph for row in self.rows],
            "class": [row.label for row in self.rows],
            "probability": [f"{row.probability:.1%}" for row in self.rows],
            "method": [row.method for row in self.rows],
            "insertion": [f"{row.insertion:.3f}" for row in self.rows],
            "deletion": [f"{row.deletion:.3f}" for row in self.rows],
            "seconds": [f"{row.seconds:.1f}" for row in self.rows],
        }
        if self.rows and np.isnan(self.rows[0].insertion):
            del columns["insertion"], columns["deletion"]
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def table_row(explanation: Explanation, seconds: float, file: pathlib.Path) -> Row:
    """The line of one explanation.

    Args:
      explanation: what was explained.
      seconds: to explain it.
      file: where it lies.
    """

    def area(curve: np.ndarray) -> float:
        if not curve.size:
            return float("nan")
        return float(metrics.area_under_curve(jnp.asarray(curve[None]))[0])

    return Row(
        photograph=pathlib.Path(explanation.photograph).name,
        label=explanation.label_name,
        probability=explanation.probability,
        method=explanation.method,
        insertion=area(explanation.insertion),
        deletion=area(explanation.deletion),
        seconds=seconds,
        file=file,
    )


def figure_files(stem: pathlib.Path, *, curves: bool) -> list[pathlib.Path]:
    """``STEM.png`` and, where there are curves, ``STEM.curves.png``."""
    names = [f"{stem.name}.png", *([f"{stem.name}.curves.png"] if curves else [])]
    return [stem.with_name(name) for name in names]


def draw_photograph(
    files: Sequence[pathlib.Path],
    rows: Sequence[Sequence[Explanation]],
    figure_files: FigureFiles = DEFAULT,
) -> None:
    """Writes the ``figure_files`` of one photograph, a row of maps a class.

    Below those of two classes or more, what speaks for the first and not the second.
    """
    maps = [*rows, difference(rows[0], rows[1])] if len(rows) > 1 else rows
    for path, draw, drawn in zip(files, (draw_maps, draw_curves), (maps, rows)):
        draw(path, drawn, figure_files)


def difference(
    first: Sequence[Explanation], second: Sequence[Explanation]
) -> list[Explanation]:
    """The maps of one class less those of another, method by method."""
    return [
        a._replace(
            map=a.map - b.map,
            label_name=f"{a.label_name} less {b.label_name}",
            label=-1,
        )
        for a, b in zip(first, second, strict=True)
    ]


def draw_maps(
    path: pathlib.Path,
    rows: Sequence[Sequence[Explanation]],
    figure_files: FigureFiles = DEFAULT,
) -> None:
    """One row for each photograph: itself, then its maps by the same methods.

    Rows of several networks are named after them.

    Args:
      path: the file to write.
      rows: for each photograph its explanations, the methods in the same order.
      figure_files: formats, colours, and whether maps lie over photographs.
    """
    models = [row[0].model for row in rows]
    captions = [row[0].caption for row in rows]
    if several := len(set(models)) > 1:
        captions = [f"{m}:\n{c}" for m, c in zip(models, captions, strict=True)]
    width, height = plots.grid_size(len(rows), len(rows[0]), captions)
    figure = new_figure((width, height + 0.25))
    if not several:
        figure.suptitle(models[0], fontsize=10, color="#555555")
    plots.explanation_grid(
        np.stack([row[0].image for row in rows]),
        {
            method_title(first.method): np.stack([row[i].map for row in rows])
            for i, first in enumerate(rows[0])
        },
        captions=captions,
        overlay=figure_files.overlay,
        colors=figure_files.colors,
        figure=figure,
    )
    save(figure, path, figure_files)


def draw_curves(
    path: pathlib.Path,
    rows: Sequence[Sequence[Explanation]],
    figure_files: FigureFiles = DEFAULT,
) -> None:
    """Insertion above deletion, one column for each photograph."""
    width, height = plots.curves_size(len(rows[0]))
    figure = new_figure((width * len(rows), 2 * height))
    figure.suptitle(rows[0][0].model, fontsize=10, color="#555555")
    axes = figure.subplots(2, len(rows), squeeze=False, sharey=True)
    for column, row in enumerate(rows):
        for kind, ax in zip(("insertion", "deletion"), axes[:, column], strict=True):
            plots.curves(
                {method_title(e.method): getattr(e, kind) for e in row},
                ax,
                title=f"{row[0].label_name}: {kind}",
                xlabel=CURVES[kind].xlabel,
                better=CURVES[kind].better,
                ylabel=None if column else "probability of the class",
            )
    save(figure, path, figure_files)
