"""A folder of results is of one job."""

import pytest

from jaxattr.evaluation.runs.settings import UNKNOWN, claim


def test_a_folder_is_claimed_by_its_settings(tmp_path):
    settings = {"models": {"a": {"weights": "x"}}, "key": [0, 1], "names": ("b",)}
    claim(tmp_path, settings)
    claim(tmp_path, settings)
    for other, message in [
        ({"key": [0, 2]}, r"key: \[0, 1\] there, \[0, 2\] now"),
        ({"models": {"b": {}}}, "models.a: asked for there, not asked for now"),
        ({"models": {"a": {"weights": "y"}}}, 'models.a.weights: "x" there, "y" now'),
    ]:
        with pytest.raises(ValueError, match=message):
            claim(tmp_path, settings | other)
    for damaged in ("{", "", "[]", "null"):
        (tmp_path / "settings.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"settings.json: cannot be read \(.+\)"):
            claim(tmp_path, settings)


def test_what_was_not_known_is_added_and_then_holds(tmp_path):
    given = lambda first, second: {"files": {"a": first, "b": second}}
    claim(tmp_path, given("1", UNKNOWN))
    claim(tmp_path, given("1", "2"))
    claim(tmp_path, given(UNKNOWN, "2"))
    for other, message in [
        (("1", "3"), 'files.b: "2" there, "3" now'),
        (("3", UNKNOWN), 'files.a: "1" there, "3" now'),
    ]:
        with pytest.raises(ValueError, match=message):
            claim(tmp_path, given(*other))
