"""What results are called after, in one call and over several."""

import pytest

from jaxattr.evaluation.runs.stems import unique_stems


def own_stems(paths, record=None):
    return [stems.stem for stems in unique_stems(paths, record)]


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / folder / "x.png" for folder in "abc"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(str(path))
    return paths


def test_a_stem_belongs_to_one_photograph_for_all_calls(paths, tmp_path):
    a, b, c = paths
    stems = lambda *paths: own_stems(paths, tmp_path / "stems.json")
    assert stems(b) == ["x"]
    assert stems(a, b) == ["x-2", "x"]
    assert stems(c, c, a) == ["x-3", "x-4", "x-2"]
    assert stems(c, c) == ["x-3", "x-4"]
    a.write_text("other pixels")
    assert stems(a) == ["x-2"]
    assert own_stems([a, b, c]) == ["x", "x-2", "x-3"]


def test_a_photograph_that_was_moved_keeps_its_stem(paths, tmp_path):
    a, b, c = paths
    stems = lambda *paths: own_stems(paths, tmp_path / "stems.json")
    c.write_text(a.read_text())
    assert stems(a, b) == ["x", "x-2"]
    assert stems(c) == ["x-3"], "a copy of one that is still there"
    moved = tmp_path / "x.png"
    b.rename(moved)
    assert stems(moved, a) == ["x-2", "x"]


def test_what_is_not_there_keeps_no_stem(paths, tmp_path):
    a, b, _ = paths
    stems = lambda *paths: own_stems(paths, tmp_path / "stems.json")
    missing = tmp_path / "missing" / "x.png"
    assert stems(missing, "x\0.png", b) == ["x", "x\0", "x-2"]
    assert stems(a) == ["x"]


@pytest.mark.parametrize("damaged", ["", "[", "3", "[3]", '[{"stem": "x"}]', "\xff"])
def test_a_damaged_record_is_made_anew(paths, tmp_path, damaged):
    record = tmp_path / "stems.json"
    record.write_bytes(damaged.encode("latin-1"))
    assert own_stems(paths, record) == ["x", "x-2", "x-3"]
    assert own_stems(paths[1:], record) == ["x-2", "x-3"]


def test_no_photograph_is_called_as_a_class_of_another(paths, tmp_path):
    a, b, c = paths
    record = tmp_path / "stems.json"
    stems = lambda paths, endings=(): [
        (stems.stem, *stems.with_endings)
        for stems in unique_stems(paths, record, endings=endings)
    ]
    assert stems([a], ["2", "9"]) == [("x", "x-2", "x-9")]
    assert stems([b, a]) == [("x-3",), ("x",)]
    # The other way round, and within one call.
    assert stems([b, c], ["2"]) == [("x-3", "x-3-2"), ("x-4", "x-4-2")]
    named = tmp_path / "x-4-7.png"
    named.write_text("named so")
    assert stems([c, named], ["7"]) == [("x-4", "x-4-7-2"), ("x-4-7", "x-4-7-7")]
    assert stems([a], ["9", "2"]) == [("x", "x-9", "x-2")]
    moved = tmp_path / "moved" / "x.png"
    moved.parent.mkdir()
    a.rename(moved)
    assert stems([moved], ["2"]) == [("x", "x-2")]
    same_content = moved.rename(tmp_path / "x-2.png")
    assert stems([same_content]) == [("x-2-2",)]


def test_no_stem_is_that_of_another_in_another_writing(tmp_path):
    """Of files that some file systems take for one, or with a figure's own ending."""
    names = ("e\u0301.png", "\u00e9.jpg", "\u00c9.gif", "x.curves.png", "x.png")
    for name in names:
        (tmp_path / name).write_text(name)
    assert own_stems([tmp_path / name for name in names]) == [
        *("e\u0301", "\u00e9-2", "\u00c9-3", "x.curves-2", "x"),
    ]
