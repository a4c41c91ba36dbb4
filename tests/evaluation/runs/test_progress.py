"""What the terminal shows."""

import io

from jaxattr.evaluation.runs.progress import Progress


def test_time_left_is_what_the_rest_takes_at_the_speed_so_far(monkeypatch):
    times = iter([0.0, 10.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    stream = io.StringIO()
    progress = Progress(100, stream)
    progress._found, progress.done = 40, 40
    progress.finished("x", 5)
    assert stream.getvalue() == "[45/100, 10 s, 0.5/s, 110 s left] x\n"
