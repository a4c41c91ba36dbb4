"""Tables and figures are made again only where they are not as they were."""

import os

from jaxattr.evaluation.runs.written import is_written, remember


def test_what_is_written_is_known_until_it_changes(tmp_path):
    (tmp_path / "parts").mkdir()
    assert not is_written(tmp_path, "a")
    for name in ("summary.csv", "a.png", "run.json"):
        (tmp_path / name).write_text(name)
    remember(tmp_path, "a")
    assert is_written(tmp_path, "a")
    assert not is_written(tmp_path, "b")
    (tmp_path / "run.json").write_text("another")
    (tmp_path / "other.txt").write_text("of somebody")
    assert is_written(tmp_path, "a")
    status = (tmp_path / "a.png").stat()
    os.utime(tmp_path / "a.png", ns=(0, status.st_mtime_ns + 1))
    assert not is_written(tmp_path, "a")
    remember(tmp_path, "a")
    (tmp_path / "summary.csv").unlink()
    assert not is_written(tmp_path, "a")
    (tmp_path / "parts" / "report.json").write_text("[]")
    assert not is_written(tmp_path, "a")
