"""Tables of results as they lie on the disk."""

from __future__ import annotations

import csv
import pathlib
import sys
from collections.abc import Sequence

from jaxattr.evaluation.runs.figures import method_title
from jaxattr.report.blocks import Column, Number, Table, number

Rows = list[dict[str, str]]

MOST_ROWS = 5000
"""Of a table: more are in the file beside the report."""

_NAMES = {
    "low": ("from", "95 % interval"),
    "high": ("to", "95 % interval"),
    "shown": ("shown", "mean share of pixels"),
    "difference": ("difference", "to the reference"),
    "difference_low": ("from", "of the difference"),
    "difference_high": ("to", "of the difference"),
    "images": ("photographs", ""),
    "class_name": ("class", ""),
    "better": ("better", ""),
    "epsilon": ("ε", ""),
    "standard_error": ("standard error", ""),
}
"""Columns whose names are not words: what stands above them, and a few words more."""


def read(path: pathlib.Path, needs: Sequence[str] = ()) -> tuple[list[str], Rows]:
    """Header and rows of a ``.csv``, both empty where there is none.

    Args:
      path: the file.
      needs: columns that it must have.

    Raises:
      ValueError: it cannot be read, or a column is missing.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            # Most cells of a long table are the same few words.
            rows = [
                {name: sys.intern(cell) for name, cell in row.items() if name}
                for row in reader
            ]
            header = list(reader.fieldnames or ())
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    lacking = [name for name in needs if name not in header]
    if lacking:
        raise ValueError(
            f"{path}: no column {lacking[0]!r}; not a table of this version of jaxattr"
        )
    return header, rows


def as_table(title: str, header: Sequence[str], rows: Rows, note: str = "") -> Table:
    """A table of a page; columns whose cells are all numbers sort as numbers.

    Methods have the names that readers know. A column that has the same text in every
    row is said once, in the note, and one that
    is empty is left out. Of a very long table the first rows are shown.
    """
    shown = rows[:MOST_ROWS]
    same = {
        name: rows[0][name]
        for name in header
        if len(rows) > 1 and all(row[name] == rows[0][name] for row in rows)
    }
    said = {name: text for name, text in same.items() if not _is_number(text)}
    header = [name for name in header if name not in said]
    are_numbers = [
        all(_is_number(row[name]) for row in shown if row[name]) for name in header
    ]
    columns = [
        Column(*_column(name, is_number))
        for name, is_number in zip(header, are_numbers, strict=True)
    ]
    cells: list[list[str | Number]] = [
        [
            number(row[name]) if is_number else _cell(name, row[name])
            for name, is_number in zip(header, are_numbers, strict=True)
        ]
        for row in shown
    ]
    sentences = [note] if note else []
    constant = [
        f"{_column(n, False)[0]}: {_cell(n, text)}" for n, text in said.items() if text
    ]
    if constant:
        sentences.append(f"In every row {'; '.join(constant)}.")
    if len(rows) > len(shown):
        sentences.append(
            f"The first {len(shown):,} of {len(rows):,} rows; the table in the folder has "
            "all of them."
        )
    return Table(title, columns, cells, " ".join(sentences))


def _column(name: str, is_number: bool) -> tuple[str, bool, str]:
    title, note = _NAMES.get(name, (name.replace("_", " "), ""))
    return title, is_number, note


def _cell(name: str, text: str) -> str:
    """Methods by the names that readers know."""
    return method_title(text) if name in ("method", "reference") else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
