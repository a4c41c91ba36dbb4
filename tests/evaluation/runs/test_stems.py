"""What results are called after, in one call and over several."""

import pytest

from jaxattr.evaluation.runs.stems import unique_stems


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / folder / "x.png" for folder in "abc"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(str(path))
    return paths


def test_a_stem_belongs_to_one_photograph_for_all_calls(paths, tmp_path):
    a, b, c = paths
    stems = lambda *paths: unique_stems(paths, tmp_path / "stems.json")
    assert stems(b) == ["x"]
    assert stems(a, b) == ["x-2", "x"]
    assert stems(c, c, a) == ["x-3", "x-4", "x-2"]
    assert stems(c, c) == ["x-3", "x-4"]
    a.write_text("other pixels")
    assert stems(a) == ["x-2"]
    assert unique_stems([a, b, c]) == ["x", "x-2", "x-3"]


def test_a_photograph_that_was_moved_keeps_its_stem(paths, tmp_path):
    a, b, c = paths
    stems = lambda *paths: unique_stems(paths, tmp_path / "stems.json")
    c.write_text(a.read_text())
    assert stems(a, b) == ["x", "x-2"]
    assert stems(c) == ["x-3"], "a copy of one that is still there"
    moved = tmp_path / "x.png"
    b.rename(moved)
    assert stems(moved, a) == ["x-2", "x"]


def test_what_is_not_there_keeps_no_stem(paths, tmp_path):
    a, b, _ = paths
    stems = lambda *paths: unique_stems(paths, tmp_path / "stems.json")
    missing = tmp_path / "missing" / "x.png"
    assert stems(missing, "x\0.png", b) == ["x", "x\0", "x-2"]
    assert stems(a) == ["x"]


@pytest.mark.parametrize("damaged", ["", "[", "3", "[3]", '[{"stem": "x"}]', "\xff"])
def test_a_damaged_record_is_made_anew(paths, tmp_path, damaged):
    record = tmp_path / "stems.json"
    record.write_bytes(damaged.encode("latin-1"))
    assert unique_stems(paths, record) == ["x", "x-2", "x-3"]
    assert unique_stems(paths[1:], record) == ["x-2", "x-3"]
