"""Commands over photograph files: what they take, and what they say when they are done."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol

from jaxattr.commands._results import print_results
from jaxattr.evaluation.runs.shards import Shard
from jaxattr.evaluation.runs.tables import TextTable, format_table
from jaxattr.photographs.reading import Unread, list_photographs, unread_files


class _Row(Protocol):
    @property
    def file(self) -> pathlib.Path: ...

    def _asdict(self) -> dict[str, object]: ...


class _Report(Protocol):
    """What ``explain`` and ``boundary`` have found."""

    @property
    def rows(self) -> Sequence[_Row]: ...
    @property
    def broken(self) -> Sequence[str]: ...
    @property
    def not_found(self) -> Sequence[str]: ...
    def table(self) -> TextTable: ...


def add_photographs(parser: argparse.ArgumentParser) -> None:
    """Files and folders of photographs."""
    parser.add_argument(
        "photographs",
        nargs="+",
        metavar="PHOTO",
        help="JPEG, PNG and more, any size; or a folder of them",
    )


def photograph_files(given: Sequence[str]) -> list[str]:
    """Files as they are, of a folder the photographs in it.

    Raises:
      ValueError: a folder without photographs.
    """
    files: list[str] = []
    for name in given:
        is_folder = pathlib.Path(name).is_dir()
        files += map(str, list_photographs(name)) if is_folder else [name]
    return files


def unread_in(given: Iterable[str | None]) -> list[Unread]:
    """Of the folders among them, the files that may be meant as photographs."""
    names = [name for name in dict.fromkeys(given) if name is not None]
    folders = [name for name in names if pathlib.Path(name).is_dir()]
    return [unread for name in folders for unread in unread_files(name)]


def print_report(
    arguments: argparse.Namespace, report: _Report, shard: Shard, files: str
) -> int:
    """The table, and what was skipped or not found.

    Args:
      arguments: of the command.
      report: what it found.
      shard: of which share.
      files: what lies in the folder, in words.

    Returns:
      The exit code.
    """
    for reason in report.not_found:
        print(f"jaxattr: warning: {reason}", file=sys.stderr)
    lines = [f"{files}: {arguments.out}"]
    if report.rows:
        lines = [format_table(*report.table()), "", *lines]
    if shard.count > 1:
        lines += [f"shard {shard}; the same command without --shard tells of all"]
    return print_results(
        arguments,
        "\n".join(lines),
        [row._asdict() for row in report.rows],
        report.broken,
        unread_in([*arguments.photographs, getattr(arguments, "references", None)]),
    )
