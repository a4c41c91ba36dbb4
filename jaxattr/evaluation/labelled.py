"""A folder of photographs and what is on them."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from jaxattr.evaluation.labels import resolve_label
from jaxattr.evaluation.photographs import list_photographs

LABEL_FILES = ("labels.tsv", "labels.csv", "boxes.tsv")


class Labelled(NamedTuple):
    """A photograph and the class on it, as written."""

    path: pathlib.Path
    label: str


def labelled_photographs(
    folder: str | os.PathLike[str], table: str | os.PathLike[str] | None = None
) -> list[Labelled]:
    """The photographs of a folder with their labels, in the order of their names.

    Args:
      folder: photographs, or one folder of photographs a class, named as the class.
      table: a file with the columns ``file`` and ``class`` (or ``label``), tabs or
        commas between them; by default ``labels.tsv``, ``labels.csv`` or ``boxes.tsv``
        in the folder. Photographs that it does not list are left out.

    Raises:
      ValueError: no photographs, no labels, a table without these columns or that
        names a photograph that is not there.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of photographs")
    if table is None:
        there = [folder / name for name in LABEL_FILES if (folder / name).is_file()]
        table = there[0] if there else None
    if table is not None:
        return _from_table(folder, pathlib.Path(table))
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        list_photographs(folder)  # says so, where there are none either
        raise ValueError(
            f"{folder}: labels are missing: expected {' or '.join(LABEL_FILES)} with "
            "the columns file and class, a folder a class, or --labels FILE"
        )
    return [Labelled(path, c.name) for c in classes for path in list_photographs(c)]


def resolve_labels(
    photographs: Sequence[Labelled], names: Sequence[str] | None, num_classes: int
) -> list[int]:
    """The class of each photograph for one model.

    Raises:
      ValueError: a class that the model does not have; the photograph is named.
    """
    found = []
    for photograph in photographs:
        try:
            found.append(resolve_label(photograph.label, names, num_classes))
        except ValueError as error:
            raise ValueError(f"{photograph.path}: {error}") from None
    return found


def _from_table(folder: pathlib.Path, table: pathlib.Path) -> list[Labelled]:
    try:
        with open(table, newline="", encoding="utf-8") as file:
            head = file.readline()
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter="\t" if "\t" in head else ","))
    except FileNotFoundError:
        raise ValueError(f"{table}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table}: cannot be read ({error})") from None
    column = next((c for c in ("class", "label") if rows and c in rows[0]), None)
    if column is None or "file" not in rows[0]:
        raise ValueError(f"{table}: expected the columns file and class, and rows")
    found = []
    for number, row in enumerate(rows, 2):
        if not row["file"] or not row[column]:
            raise ValueError(f"{table}: line {number}: no file or no class")
        path = folder / row["file"]
        if not path.is_file():
            raise ValueError(f"{table}: line {number}: {path}: no such file")
        found.append(Labelled(path, row[column]))
    return sorted(found)
