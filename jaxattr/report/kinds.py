"""What kind of results a folder holds, and what made them."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jaxattr.evaluation.runs.figures import method_title
from jaxattr.evaluation.runs.settings import Settings, read_settings
from jaxattr.evaluation.runs.unfinished import unfinished_path

UNFINISHED = (
    "The run is not finished. Start the same command again, and it goes on where it "
    "was."
)
KINDS = ("evaluate", "spectrum", "robustness", "boundary", "explain")


class Folder(NamedTuple):
    """A folder of results."""

    path: pathlib.Path
    kind: str
    settings: Settings
    """Of ``settings.json``; empty where there is none."""
    run: Settings
    """Of ``run.json``: the command, its arguments and versions; or empty."""

    @property
    def source(self) -> pathlib.Path | None:
        """The folder of photographs that the command was given, if it is still there."""
        where = self.run.get("folder")
        path = pathlib.Path(where) if isinstance(where, str) else None
        return path if path is not None and path.is_dir() else None

    def asked(self, what: str) -> list[str]:
        """``methods`` or ``photographs`` of the command, or nothing if not known."""
        found = self.run.get(what)
        return [str(name) for name in found] if isinstance(found, list) else []

    def in_order(self, methods: Iterable[str]) -> list[str]:
        """Methods as they were asked for, the others behind them as they came."""
        there = list(dict.fromkeys(methods))
        asked = self.asked("methods") or list(self.settings.get("methods", ()))
        first = [name for name in asked if name in there]
        return list(dict.fromkeys([*first, *there]))

    def table(self, name: str) -> pathlib.Path:
        """A table: that of the run which is not done, if there is one, else the whole."""
        path = self.path / name
        unfinished = unfinished_path(path)
        return unfinished if unfinished.exists() else path

    def lacking(self, what: str, done: Mapping[str, int], verb: str) -> list[str]:
        """That a run was stopped, and how far each method or model has come.

        Args:
          what: ``methods`` or ``models``.
          done: name to how many photographs are done; empty if that is not known.
          verb: what is done to them.
        """
        count = len(self.asked("photographs"))
        names = dict.fromkeys([*self.asked(what), *done])
        title = method_title if what == "methods" else str
        return [
            UNFINISHED,
            *(
                f"{title(name)}: {done.get(name, 0):,} of {count:,} photographs are "
                f"{verb}."
                for name in names
                if done and done.get(name, 0) < count
            ),
        ]

    def unfinished(self, table: str) -> ValueError:
        """For a job that writes its tables when all of it is done."""
        done = len(list((self.path / "parts").glob("*.npz")))
        parts = f"{done} part{'s' * (done != 1)} of the work" if done else "nothing"
        return ValueError(
            f"{self.path}: the run is not finished, {parts} is done and {table} is not "
            "there yet; start the same command again"
        )


def recognise(path: str | os.PathLike[str]) -> Folder:
    """Which job wrote a folder, by the files in it.

    Raises:
      ValueError: no folder, one without results, or one whose settings cannot be read.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ValueError(f"{folder}: expected a folder of results, got {what}")
    has_settings = (folder / "settings.json").exists()
    settings = read_settings(folder) if has_settings else {}
    run = _json(folder / "run.json")
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
    if has("bands.csv") or has("bands.unfinished.csv"):
        return "spectrum"
    if has("images.unfinished.csv"):
        return "robustness"
    if has("images.csv") or has("settings.json"):
        first = b""
        if has("images.csv"):
            with open(folder / "images.csv", "rb") as file:
                first = file.readline(200)
        return "robustness" if first.startswith(b"method,attack,") else "evaluate"
    if has("*.boundary.npz"):
        return "boundary"
    # A map has the name of its photograph and that of its method.
    return "explain" if has("*.*.npz") else None


def _json(path: pathlib.Path) -> Settings:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected an object of JSON")
    return found
