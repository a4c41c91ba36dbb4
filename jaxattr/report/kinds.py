"""What kind of results a folder holds, and what of them is missing."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

KINDS = ("evaluate", "spectrum", "robustness", "boundary", "explain")


class Folder(NamedTuple):
    """A folder of results."""

    path: pathlib.Path
    kind: str
    settings: Mapping[str, Any]
    """Of ``settings.json``; empty where there is none."""
    run: Mapping[str, Any]
    """Of ``run.json``: the command, its arguments and versions; or empty."""

    @property
    def source(self) -> pathlib.Path | None:
        """The folder of photographs that the command was given, if it is still there."""
        where = self.run.get("folder")
        path = pathlib.Path(where) if isinstance(where, str) else None
        return path if path is not None and path.is_dir() else None


def recognise(path: str | os.PathLike[str]) -> Folder:
    """Which job wrote a folder, by the files in it.

    Raises:
      ValueError: no folder, one without results, or one whose settings cannot be read.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ValueError(f"{folder}: expected a folder of results, got {what}")
    settings, run = _json(folder / "settings.json"), _json(folder / "run.json")
    kind = run.get("command")
    if kind == "demo":
        kind = "explain"
    if kind not in KINDS:
        kind = _kind_of_files(folder)
    if kind is None:
        raise ValueError(
            f"{folder}: has no results of jaxattr explain, evaluate, boundary, spectrum "
            "or robustness"
        )
    return Folder(folder, kind, settings, run)


def _kind_of_files(folder: pathlib.Path) -> str | None:
    has = lambda pattern: next(folder.glob(pattern), None) is not None
    if has("bands.csv"):
        return "spectrum"
    if has("images.csv") or has("settings.json"):
        first = ""
        if has("images.csv"):
            with open(folder / "images.csv", encoding="utf-8") as file:
                first = file.readline()
        return "robustness" if first.startswith("method,attack,") else "evaluate"
    if has("*.boundary.npz"):
        return "boundary"
    return "explain" if has("*.npz") else None


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected an object of JSON")
    return found
