"""How far a job is: a bar on a terminal, a line for each item elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """Tells ``stream`` which of ``total`` items is worked on.

    Args:
      total: how many items there are; may be set later.
      stream: by default the standard error stream.
      quiet: only what ``say`` is given.
    """

    def __init__(
        self, total: int, stream: TextIO | None = None, *, quiet: bool = False
    ) -> None:
        self.total = total
        self.done = 0
        self._found = 0
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._bar = None if quiet or not self._stream.isatty() else _bar(self._stream)
        self._begin = time.perf_counter()

    def doing(self, what: str) -> None:
        """Shows what is being done now; terminals only."""
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.set_postfix_str(what)

    def finished(self, what: str, items: int = 1, *, found: bool = False) -> None:
        """Some more items are done; those that were found done say nothing of speed."""
        self.done += items
        self._found += items if found else 0
        if self._bar is not None:
            self._bar.total = self.total
            # What was done before the bar began is no part of its speed.
            self._bar.initial += items if found else 0
            self._bar.set_postfix_str(what, refresh=False)
            self._bar.update(items)
            self._bar.refresh()
        elif not self._quiet:
            self._line(f"{self._count(self.done)} {what}")

    def say(self, line: str) -> None:
        """A line that stays, such as a warning."""
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            self._line(line)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _count(self, done: int) -> str:
        """``[3/12, 60 s, 0.05/s, 180 s left]``."""
        seconds = time.perf_counter() - self._begin
        made = done - self._found
        speed = ""
        if made and seconds:
            left = (self.total - done) * seconds / made
            speed = f", {made / seconds:.3g}/s, {_duration(left)} left"
        return f"[{done}/{self.total}, {_duration(seconds)}{speed}]"

    def _line(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _bar(stream: TextIO) -> Any:
    """A bar that vanishes when all is done; none where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        total=0,
        file=stream,
        leave=False,
        dynamic_ncols=True,
        # The mean of all that was made: items differ too much for a moving one.
        smoothing=0,
        bar_format="{percentage:3.0f}% {bar:12} {n}/{total}, {remaining} left, "
        "{rate_fmt}{postfix}",
    )


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
