"""The figure files of explanations, drawn without touching pyplot."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxattr import plots
from jaxattr.evaluation.explain.explanations import Explanation
from jaxattr.evaluation.runs.figures import method_title, new_figure, save


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
    figure = new_figure(plots.grid_size(len(rows), len(rows[0])))
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
    save(figure, path)


def draw_curves(path: pathlib.Path, rows: Sequence[Sequence[Explanation]]) -> None:
    """Insertion above deletion, one column for each photograph."""
    figure = new_figure((3.6 * max(len(rows), 1), 5.6))
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
    save(figure, path)
