"""A folder of photographs and what is on them."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from jaxattr._locations import as_path, is_folder, is_inside, is_url
from jaxattr.photographs.labels import resolve_label
from jaxattr.photographs.reading import (
    Unread,
    is_hidden,
    list_photographs,
    unread_files,
)

LABEL_FILES = ("labels.tsv", "labels.csv", "boxes.tsv")
_OF_RESULTS = ("parts", "manifest", "settings", "maps", "report_maps")
"""Folders in a folder of results."""


class Labelled(NamedTuple):
    """A photograph and the class on it, as written."""

    path: pathlib.Path
    label: str


def labelled_photographs(
    folder: str | os.PathLike[str],
    table: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    known: Collection[str] = (),
) -> list[Labelled]:
    """The photographs of a folder with their labels, in the order of their names.

    Args:
      folder: photographs, or one folder of photographs a class, named as the class.
      table: a file with the columns ``file`` and ``class`` (or ``label``), tabs or
        commas between them; by default ``labels.tsv``, ``labels.csv`` or ``boxes.tsv``
        in the folder. Photographs that it does not list are left out.
      out: where results go. It may lie in the folder and is no class, nor are other
        folders of results.
      known: photographs, from the folder on, that the table may name although they are
        not there any more; they are left out.

    Raises:
      ValueError: no photographs, no labels, a table without these columns or that
        names a photograph twice or one that is not in the folder.
    """
    folder = as_path(folder)
    if not is_folder(folder):
        raise ValueError(f"{folder}: expected a folder of photographs")
    table = _table_of(folder) if table is None else table
    if table is not None:
        return _from_table(folder, as_path(table), known)
    classes = sorted(
        p
        for p in folder.iterdir()
        if p.is_dir() and not is_hidden(p) and not _holds_results(p, out)
    )
    if out is not None and any(
        str(as_path(out).resolve()) == str(p.resolve()) for p in classes
    ):
        raise ValueError(f"{out}: holds the photographs of a class, and no results")
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


def left_out(
    folder: str | os.PathLike[str],
    photographs: Sequence[Labelled],
    table: str | os.PathLike[str] | None = None,
) -> list[Unread]:
    """Files beside photographs that may be meant as one and are none of the set.

    Args:
      folder: as ``labelled_photographs`` has it.
      photographs: what that returned.
      table: as there. Photographs that it does not list are left out on purpose.
    """
    folder = as_path(folder)
    folders = {folder, *(p.path.parent for p in photographs)}
    found = [unread for inner in sorted(folders) for unread in unread_files(inner)]
    if table is None and _table_of(folder) is None:
        try:
            strays = list_photographs(folder)
        except ValueError:
            strays = []
        found += [Unread(path, "in no folder of a class") for path in strays]
    return found


def _table_of(folder: pathlib.Path) -> pathlib.Path | None:
    """The table of labels in a folder; None where there is none."""
    there = [folder / name for name in LABEL_FILES if (folder / name).is_file()]
    return there[0] if there else None


def _holds_results(
    folder: pathlib.Path, out: str | os.PathLike[str] | None = None
) -> bool:
    """Holds results or parts of them, or is to hold them and holds no photographs."""
    if any((folder / made).exists() for made in ("settings.json", "parts")):
        return True
    if folder.name in _OF_RESULTS and (folder.parent / "settings.json").exists():
        return True
    if out is None or not is_inside(as_path(out), folder):
        return False
    try:
        list_photographs(folder)
    except ValueError:
        return True
    return False


def _from_table(
    folder: pathlib.Path, table: pathlib.Path, known: Collection[str]
) -> list[Labelled]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
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
    found: list[Labelled] = []
    lines: dict[pathlib.Path, int] = {}
    for number, row in enumerate(rows, 2):
        if not row["file"] or not row[column]:
            raise ValueError(f"{table}: line {number}: no file or no class")
        if row["file"] in known and not (folder / row["file"]).is_file():
            continue
        try:
            path = _inside(folder, row["file"])
        except ValueError as error:
            raise ValueError(f"{table}: line {number}: {error}") from None
        first = lines.setdefault(path, number)
        if first != number:
            raise ValueError(
                f"{table}: line {number}: {path} is there twice, first in line {first}"
            )
        found.append(Labelled(path, row[column]))
    return sorted(found)


def _inside(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file that a table names, from its folder or from the root, in the folder."""
    path = pathlib.Path(name)
    if path.is_absolute():
        # The folder may have come by another way: of the file only the name is its own.
        path = path.parent.resolve() / path.name
        if is_url(folder) or not path.is_relative_to(folder.resolve()):
            raise ValueError(f"{name}: expected a file in {folder}")
        path = path.relative_to(folder.resolve())
    path = pathlib.Path(os.path.normpath(path))
    if path.parts[:1] == ("..",):
        raise ValueError(f"{name}: expected a file in {folder}")
    path = folder / path.as_posix()
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return path
