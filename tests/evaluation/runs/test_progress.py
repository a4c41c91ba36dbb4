"""What the terminal shows."""

import io
import sys

import pytest

from jaxattr.evaluation.runs.progress import Progress


def test_time_left_is_what_the_rest_takes_at_the_speed_so_far(monkeypatch):
    times = iter([0.0, 10.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    stream = io.StringIO()
    progress = Progress(100, stream)
    progress._found, progress.done = 40, 40
    progress.finished("x", 5)
    assert stream.getvalue() == "[45/100, 10 s, 0.5/s, 110 s left] x\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar_that_vanishes():
    pytest.importorskip("tqdm", reason="needs tqdm")
    stream = Terminal()
    with Progress(0, stream) as progress:
        progress.total = 4
        progress.doing("cat.jpg")
        progress.finished("cat.jpg", 2, found=True)
        assert (progress._bar.n, progress._bar.initial) == (2, 2)
        progress.say("warning: a line that stays")
        progress.finished("dog.jpg")
    text = stream.getvalue()
    assert " 75% " in text
    assert "3/4" in text
    assert "dog.jpg" in text
    assert "\n" not in text.replace("warning: a line that stays\n", "")
    assert text.rstrip(" ").endswith("\r")


def test_without_tqdm_a_terminal_has_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    stream = Terminal()
    with Progress(1, stream) as progress:
        progress.doing("cat.jpg")
        progress.finished("cat.jpg")
    assert stream.getvalue().endswith("] cat.jpg\n")


def test_quiet_says_warnings_only():
    for stream in (io.StringIO(), Terminal()):
        with Progress(1, stream, quiet=True) as progress:
            progress.doing("cat.jpg")
            progress.finished("cat.jpg")
            progress.say("warning")
        assert stream.getvalue() == "warning\n"
