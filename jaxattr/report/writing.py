"""From a folder of results to its report."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Callable, Mapping

import jaxattr
from jaxattr.evaluation.runs.files import atomic_write
from jaxattr.report import boundary, evaluate, explain, kinds, robustness, spectrum
from jaxattr.report.blocks import Page
from jaxattr.report.page import to_html

_PAGES: Mapping[str, Callable[[kinds.Folder], Page]] = {
    "boundary": boundary.page,
    "evaluate": evaluate.page,
    "explain": explain.page,
    "robustness": robustness.page,
    "spectrum": spectrum.page,
}


def write_report(
    results: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> tuple[pathlib.Path, tuple[str, ...]]:
    """Writes a folder of results as one HTML file that needs nothing else.

    Args:
      results: a folder that ``jaxattr explain``, ``evaluate``, ``boundary``,
        ``spectrum`` or ``robustness`` wrote, finished or not.
      out: the file; by default ``report.html`` in the folder.

    Returns:
      The file, and what is missing or could not be read, a sentence each.

    Raises:
      ValueError: a folder without results, or results that cannot be read.
      OSError: the file cannot be written.
    """
    folder = kinds.recognise(results)
    path = pathlib.Path(out) if out is not None else folder.path / "report.html"
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        # A slip of the hand must not overwrite a table of the results.
        raise ValueError(f"out: expected a name that ends in .html, got {path}")
    page = _PAGES[folder.kind](folder)
    page = page._replace(
        facts=[*_run_facts(folder), *page.facts],
        notes=[*page.notes, *_versions(folder)],
    )
    with atomic_write(path) as file:
        file.write(to_html(page).encode())
    return path, tuple(page.missing)


def _run_facts(folder: kinds.Folder) -> list[tuple[str, str]]:
    """The command and versions of ``run.json``, the settings of ``settings.json``."""
    facts = []
    arguments = folder.run.get("arguments")
    if isinstance(arguments, list):
        facts.append(("command", " ".join(["jaxattr", *map(_quoted, arguments)])))
    versions = folder.run.get("versions")
    if isinstance(versions, Mapping):
        facts += [(str(name), str(version)) for name, version in versions.items()]
    for name, value in folder.settings.items():
        if name not in ("job", "tables", "class_names"):
            facts += _flat(name, value)
    return facts


def _versions(folder: kinds.Folder) -> list[str]:
    """That another version made the results, if one did."""
    versions = folder.run.get("versions")
    made = versions.get("jaxattr") if isinstance(versions, Mapping) else None
    made = made or folder.settings.get("jaxattr")
    if made is None or made == jaxattr.__version__:
        return []
    return [
        f"Made by jaxattr {made}; this report was written by {jaxattr.__version__}, "
        "which may read it otherwise."
    ]


def _flat(name: str, value: object) -> list[tuple[str, str]]:
    """A setting as lines; what has a line a photograph only says how many."""
    if isinstance(value, Mapping):
        if len(value) > 40:
            return [(name, f"{len(value)} entries")]
        return [
            line for key, item in value.items() for line in _flat(f"{name}.{key}", item)
        ]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return [(name, text if len(text) <= 300 else text[:297] + "...")]


def _quoted(word: object) -> str:
    return shlex.quote(str(word))
