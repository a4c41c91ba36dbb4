"""Tables of results as they lie on the disk."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

from jaxattr.report.blocks import Column, Number, Table, number


def read(path: pathlib.Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a ``.csv``, both empty where there is none.

    Raises:
      ValueError: it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            return list(reader.fieldnames or ()), rows
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


def as_table(
    title: str, header: Sequence[str], rows: Sequence[dict[str, str]], note: str = ""
) -> Table:
    """A table of a page; columns whose cells are all numbers sort as numbers."""
    are_numbers = [
        bool(rows) and all(_is_number(row[name]) for row in rows if row[name])
        for name in header
    ]
    columns = [
        Column(name.replace("_", " "), is_number)
        for name, is_number in zip(header, are_numbers, strict=True)
    ]
    cells: list[list[str | Number]] = [
        [
            number(row[name]) if is_number else row[name]
            for name, is_number in zip(header, are_numbers, strict=True)
        ]
        for row in rows
    ]
    return Table(title, columns, cells, note)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
