"""The table and the figures of ``jaxattr boundary``, and the words for no boundary."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np

from jaxattr import plots
from jaxattr.evaluation.runs import figures, pictures
from jaxattr.evaluation.runs.notebook import pictures_html, table_html
from jaxattr.evaluation.runs.tables import TextTable

NOT_FOUND = "no boundary found"
"""Said of a photograph near which no image of another class was found."""


class BoundaryRow(NamedTuple):
    """One line of the table."""

    photograph: str
    label: str
    behind: str
    """The class on the other side; empty where no boundary was found."""
    distance: float
    """Euclidean, in pixel units."""
    largest: float
    """The largest change of a value, in pixel units."""
    member: str
    """The member of the search that found the point."""
    seconds: float
    """To search and to explain, compilation apart."""
    file: pathlib.Path
    """The ``.npz`` with the point and the maps."""


class BoundaryReport(NamedTuple):
    """What came of a job."""

    rows: tuple[BoundaryRow, ...]
    broken: tuple[str, ...]
    """One line for each photograph that could not be read: which, and why."""
    not_found: tuple[str, ...]
    """One line for each photograph without a boundary: which, why, what was tried."""
    figures: tuple[pathlib.Path, ...]

    def _repr_html_(self) -> str:
        """In a notebook: its table."""
        return table_html(*self.table())

    def table(self) -> TextTable:
        """Header and rows for ``format_table``."""
        header = ["photograph", "class", "class behind", "distance", "largest change"]
        rows = [
            [
                row.photograph,
                row.label,
                row.behind or NOT_FOUND,
                f"{row.distance:.3f}",
                f"{255 * row.largest:.2f}/255",
                row.member or "-",
                f"{row.seconds:.1f}",
            ]
            for row in self.rows
        ]
        return [*header, "found by", "seconds"], rows


class Boundary(NamedTuple):
    """What ``STEM.boundary.npz`` holds of one photograph, an array a field."""

    photograph: str
    model: str
    image: np.ndarray
    """``(H, W, 3)``, as the model saw it."""
    point: np.ndarray
    """``(H, W, 3)``; the image itself where no boundary was found."""
    distance: float
    found: bool
    label: int
    label_name: str
    behind: int
    behind_name: str
    member: str
    search: list[str]
    """The names of the members of the search."""
    bsm: np.ndarray
    big: np.ndarray
    version: str
    tried: list[str]
    """For each member the most model passes of an image."""
    reason: str
    """Why no boundary was found, as far as it is known; empty where one was."""

    def _repr_html_(self) -> str:
        """In a notebook: the photograph, what is behind its boundary, and the maps."""
        image = pictures.photograph(self.image, 180)
        shown = [([image], self.label_name)]
        if self.found:
            point = pictures.photograph(self.point, 180)
            shown.append(([point], f"{self.behind_name}, {self.distance:.3g} away"))
            for name, values in (("BSM", self.bsm), ("BIG", self.big)):
                shown.append(([image, pictures.overlay(values, 180)[0]], name))
        title = pathlib.Path(self.photograph).name
        return pictures_html(shown, title if self.found else f"{title}: {NOT_FOUND}")

    @property
    def missing(self) -> str:
        """What is said of a photograph without a boundary."""
        return f"{self.reason} (tried {', '.join(self.tried)})"


def table_row(boundary: Boundary, seconds: float, file: pathlib.Path) -> BoundaryRow:
    """The line of one photograph.

    Args:
      boundary: what was found.
      seconds: to find it, and to explain.
      file: where it lies.
    """
    return BoundaryRow(
        photograph=pathlib.Path(boundary.photograph).name,
        label=boundary.label_name,
        behind=boundary.behind_name,
        distance=boundary.distance,
        largest=float(np.abs(boundary.point - boundary.image).max()),
        member=boundary.member,
        seconds=seconds,
        file=file,
    )


def draw(
    path: pathlib.Path,
    boundary: Boundary,
    figure_files: figures.FigureFiles = figures.DEFAULT,
) -> None:
    """Writes ``STEM.boundary.png``, or in other formats."""
    with figures.one_figure(path, (9.5, 2.75), figure_files) as figure:
        figure.suptitle(boundary.model, fontsize=10, color="#555555")
        plots.boundary_row(
            boundary.image,
            boundary.point,
            {"BSM": boundary.bsm, "BIG": boundary.big},
            figure.subplots(1, 5),
            captions=(boundary.label_name, boundary.behind_name),
            distance=boundary.distance,
            overlay=figure_files.overlay,
            colors=figure_files.colors,
        )
