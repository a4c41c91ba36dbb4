"""What a command has found, as it is printed: a table, JSON, and what was skipped."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence

from jaxattr.photographs.reading import Unread

MAX_UNREAD = 5
"""Of files that are no photographs for one reason, so many are named."""


def print_results(
    arguments: argparse.Namespace,
    text: str,
    records: Iterable[Mapping[str, object]],
    skipped: Sequence[str] = (),
    unread: Sequence[Unread] = (),
) -> int:
    """What a command found: a table, JSON, or nothing; names what was skipped.

    Args:
      arguments: of the command.
      text: the table, and where the files are.
      records: the rows of the table by column.
      skipped: photographs that could not be read, a line each.
      unread: files beside the photographs that are none of them.

    Returns:
      The exit code: 1 where a photograph was skipped.
    """
    if arguments.json:
        found = {
            "out": str(arguments.out),
            "skipped": list(skipped),
            "unread": [f"{path}: {reason}" for path, reason in unread],
            "results": [
                {k: _plain(cell) for k, cell in row.items()} for row in records
            ],
        }
        print(json.dumps(found, indent=1))
    elif not arguments.quiet:
        print(text)
    for reason in skipped:
        print(f"jaxattr: skipped {reason}", file=sys.stderr)
    for reason in dict.fromkeys(reason for _, reason in unread):
        paths = [str(path) for path, why in unread if why == reason]
        more = len(paths) - MAX_UNREAD
        others = f" and {more} more" if more > 0 else ""
        names = ", ".join(paths[:MAX_UNREAD])
        print(f"jaxattr: skipped {names}{others}: {reason}", file=sys.stderr)
    return 1 if skipped else 0


def _plain(cell: object) -> object:
    """A cell as JSON takes it: what is not finite is null."""
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell if isinstance(cell, int | str | None) else str(cell)
