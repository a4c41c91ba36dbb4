"""How far a job is: one living line on a terminal, a line for each item elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO


class Progress:
    """Tells ``stream`` which of ``total`` items is worked on.

    Args:
      total: how many items there are.
      stream: by default the standard error stream.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total = total
        self.done = 0
        self._stream = sys.stderr if stream is None else stream
        self._living = self._stream.isatty()
        self._begin = time.perf_counter()

    def doing(self, what: str) -> None:
        """Shows what is being done now; terminals only."""
        if self._living:
            self._show(f"{self._count(self.done)} {what} ...", end="")

    def finished(self, what: str) -> None:
        """One more item is done."""
        self.done += 1
        self._show(f"{self._count(self.done)} {what}", end="" if self._living else "\n")

    def say(self, line: str) -> None:
        """A line that stays, such as a warning."""
        self._show(line, end="\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._living:
            self._show("", end="")

    def _count(self, done: int) -> str:
        seconds = time.perf_counter() - self._begin
        return f"[{done}/{self.total}, {seconds:.0f} s]"

    def _show(self, line: str, *, end: str) -> None:
        if self._living:
            # Carriage return and "erase to the end of the line"; wrapped lines could
            # not be erased, so the living line is cut at the width of the terminal.
            if not end:
                line = line[: shutil.get_terminal_size().columns - 1]
            line = f"\r\x1b[K{line}"
        self._stream.write(line + end)
        self._stream.flush()
