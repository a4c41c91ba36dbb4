"""Rows of values as aligned text, and as a file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence

from jaxattr._locations import as_path
from jaxattr.evaluation.runs.files import atomic_write

Cell = str | int | float
"""What stands in a table."""

Table = tuple[list[str], list[list[Cell]]]
"""A header, and rows."""

TextTable = tuple[list[str], list[list[str]]]
"""The same as it is printed."""


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their names: text to the left, numbers to the right.

    >>> print(format_table(["method", "seconds"], [["bsm", "0.5"], ["saliency", "12"]]))
    method    seconds
    bsm           0.5
    saliency       12
    """
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    to_right = [all(map(_is_number, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, to_right, strict=True)
        ).rstrip()
        for line in lines
    )


def write_csv(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> None:
    """Writes a table, whole or not at all, row by row; numbers with six digits.

    Raises:
      OSError: it cannot be written.
    """
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=False)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])
        text.flush()
        text.detach()


def count_rows(path: str | os.PathLike[str]) -> int:
    """How many rows a table of ``write_csv`` has; none where there is no such table."""
    try:
        with as_path(path).open(newline="", encoding="utf-8") as file:
            return max(sum(1 for _ in csv.reader(file)) - 1, 0)
    except (OSError, ValueError, csv.Error):
        return 0


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip("%"))
    except ValueError:
        return False
    return True
