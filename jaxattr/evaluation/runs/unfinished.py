"""A table of what a run has so far, there until the run is done."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

from jaxattr.evaluation.runs.tables import Table, write_csv

FIRST_AFTER = 5.0
"""Seconds. A run that is done before needs no such table."""
PAUSE = 10.0
"""How many times as long as writing it took there is none."""


def unfinished_path(path: pathlib.Path) -> pathlib.Path:
    """Where a table lies until the run is done.

    >>> unfinished_path(pathlib.Path("bands.csv")).name
    'bands.unfinished.csv'
    """
    return path.with_suffix(".unfinished.csv")


class Unfinished:
    """Writes a table again and again; a tenth of the time at most goes into it.

    It lies beside its place, so that results of a run before stay what they are until
    the new ones are whole.

    Args:
      path: where the table will be.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = unfinished_path(path)
        self._next = time.monotonic() + FIRST_AFTER

    def write(self, table: Callable[[], Table]) -> None:
        """Writes it, unless that was done a short time ago.

        Args:
          table: makes header and rows.

        Raises:
          OSError: it cannot be written.
        """
        begin = time.monotonic()
        if begin < self._next:
            return
        write_csv(self._path, *table())
        end = time.monotonic()
        self._next = end + PAUSE * (end - begin)

    def remove(self) -> None:
        """Now the table itself is there."""
        self._path.unlink(missing_ok=True)
