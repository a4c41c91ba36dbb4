"""Rows of images: found whoever made them, in files of whatever ranges."""

import numpy as np
import pytest

from jaxattr.evaluation.runs.rows import RowFiles


def ids(places):
    return np.array([f"image {i}" for i in places], "S16")


def add(rows, places, column="a", value=1.0):
    places = np.asarray(places)
    rows.add(places, ids(places), {f"{column}.score": value * places})


@pytest.mark.parametrize("memory", [False, True])
def test_rows_are_found_by_place_image_and_column(tmp_path, memory):
    files = RowFiles(None if memory else tmp_path)
    rows = files.table("model IG", {"bands": 8})
    add(rows, [0, 1, 2])
    add(rows, [3, 7])
    add(rows, [2, 3], column="b", value=10.0)
    if not memory:
        rows = RowFiles(tmp_path).table("another name", {"bands": 8})
    asked = np.array([1, 3, 4, 7])
    found = rows.find(asked, ids(asked))
    np.testing.assert_array_equal(found.there["a"], [True, True, False, True])
    np.testing.assert_array_equal(found.missing("b", 4), [True, False, True, True])
    np.testing.assert_array_equal(found.missing("c", 4), [True] * 4)
    np.testing.assert_array_equal(found.values["a.score"], [1, 3, 0, 7])
    np.testing.assert_array_equal(found.values["b.score"], [0, 30, 0, 0])
    # Another image in a place is another row, for who says which it is.
    others = ids([1, 3, 4, 8])
    np.testing.assert_array_equal(rows.find(asked, others).there["a"][-1:], [False])
    np.testing.assert_array_equal(rows.find(asked).there["a"][-1:], [True])
    # So is what was made from something else.
    assert not files.table("model IG", {"bands": 4}).find(asked).there


def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path):
    rows = RowFiles(tmp_path).table("m", {})
    add(rows, [0, 1])
    add(rows, [2])
    first, _ = sorted(tmp_path.iterdir())
    whole = first.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(ids([1]).tobytes())] ^= 1
    for data in (b"", whole[:60], bytes(damaged)):
        first.write_bytes(data)
        rows = RowFiles(tmp_path).table("m", {})
        found = rows.find(np.arange(3))
        np.testing.assert_array_equal(found.there["a"], [False, False, True])
    add(rows, [0, 1])
    assert first.read_bytes() == whole
    assert len(list(tmp_path.iterdir())) == 2


def test_names_say_the_range_and_fit_any_file_system(tmp_path):
    add(RowFiles(tmp_path).table("x" * 300, {}), [5, 1234567])
    (path,) = tmp_path.iterdir()
    assert "-00000005-01234567-" in path.name
    assert len(path.name) < 255
