"""Tables and figures that are there already need not be made again."""

from __future__ import annotations

import json
import pathlib

from jaxattr.evaluation.runs.files import atomic_write

_NO_REPORT = ("settings.json", "run.json")


def is_written(folder: pathlib.Path, made_from: str) -> bool:
    """Whether the tables and figures of a folder are there as ``remember`` saw them.

    Args:
      folder: of results.
      made_from: all that decides them, as a short text.
    """
    try:
        record = json.loads(_record(folder).read_bytes())
        same = record["made_from"] == made_from
        return bool(same and record["files"] == _files(folder, record["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remember(folder: pathlib.Path, made_from: str) -> None:
    """Notes which tables and figures are in a folder now.

    Raises:
      OSError: it cannot be written.
    """
    there = (path for path in folder.iterdir() if path.is_file())
    names = sorted(p.name for p in there if not p.name.startswith("."))
    files = _files(folder, [name for name in names if name not in _NO_REPORT])
    with atomic_write(_record(folder)) as file:
        file.write(json.dumps({"made_from": made_from, "files": files}).encode())


def _record(folder: pathlib.Path) -> pathlib.Path:
    return folder / "parts" / "report.json"


def _files(folder: pathlib.Path, names: list[str] | dict[str, object]) -> object:
    found = {}
    for name in names:
        status = (folder / name).stat()
        found[name] = [status.st_size, status.st_mtime_ns]
    return found
