"""How far a job is: one living line on a terminal, a line for each item elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

_BAR = 12


class Progress:
    """Tells ``stream`` which of ``total`` items is worked on.

    Args:
      total: how many items there are.
      stream: by default the standard error stream.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total = total
        self.done = 0
        self._found = 0
        self._stream = sys.stderr if stream is None else stream
        self._living = self._stream.isatty()
        self._begin = time.perf_counter()

    def doing(self, what: str) -> None:
        """Shows what is being done now; terminals only."""
        if self._living:
            self._show(f"{self._count(self.done)} {what} ...", end="")

    def finished(self, what: str, items: int = 1, *, found: bool = False) -> None:
        """Some more items are done; those that were found done say nothing of speed."""
        self.done += items
        self._found += items if found else 0
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
        """``[3/12, 60 s, 0.05/s, 180 s left]``, behind a bar on a terminal."""
        seconds = time.perf_counter() - self._begin
        made = done - self._found
        speed = ""
        if made and seconds:
            left = (self.total - done) * seconds / made
            speed = f", {made / seconds:.3g}/s, {_duration(left)} left"
        count = f"[{done}/{self.total}, {_duration(seconds)}{speed}]"
        if not self._living:
            return count
        full = _BAR * done // max(1, self.total)
        return "█" * full + "░" * (_BAR - full) + " " + count

    def _show(self, line: str, *, end: str) -> None:
        if self._living:
            # Carriage return and "erase to the end of the line"; wrapped lines could
            # not be erased, so the living line is cut at the width of the terminal.
            if not end:
                line = line[: shutil.get_terminal_size().columns - 1]
            line = f"\r\x1b[K{line}"
        self._stream.write(line + end)
        self._stream.flush()


def _duration(seconds: float) -> str:
    """Few letters for any time.

    >>> _duration(59.7), _duration(200), _duration(10000)
    ('60 s', '3 min 20 s', '2 h 46 min')
    """
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
