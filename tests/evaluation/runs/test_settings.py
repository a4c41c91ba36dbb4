"""A folder of results is of one job, whoever comes first."""

import json
import subprocess
import sys

import pytest

from jaxattr.evaluation.runs.settings import claim, read_settings

RACE = """
import pathlib, sys
from jaxattr.evaluation.runs.settings import claim

lost = 0
for i in range(int(sys.argv[2])):
    folder = pathlib.Path(sys.argv[1]) / str(i)
    folder.mkdir(exist_ok=True)
    claim(folder, {"key": 0, "methods": {}}, may_grow=["methods"])
    try:
        claim(folder, {"key": 0, "methods": {"a": sys.argv[3]}}, may_grow=["methods"])
    except ValueError as error:
        assert "methods.a: " in str(error)
        lost += 1
print(lost)
"""


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


def test_sections_grow_and_entries_do_not_change(tmp_path):
    def ask(key=1, **methods):
        claim(tmp_path, {"key": key, "methods": methods}, may_grow=["methods"])

    ask(a=1)
    before = (tmp_path / "settings.json").read_bytes()
    ask(b=[2])
    ask(a=1, c={"n": 3})
    ask(**{"c": {"n": 3}, "b": [2]})
    ask(**{"C": 4, "c ": 5})  # some file systems do not tell C from c
    assert (tmp_path / "settings.json").read_bytes() == before
    assert read_settings(tmp_path)["methods"] == {
        "a": 1, "b": [2], "c": {"n": 3}, "C": 4, "c ": 5,
    }  # fmt: skip
    for asked, message in [
        ({"a": 2}, "methods.a: 1 there, 2 now"),
        ({"d": 0, "c": {"n": 4}}, "methods.c.n: 3 there, 4 now"),
        ({"key": 2, "d": 0}, "key: 1 there, 2 now"),
    ]:
        with pytest.raises(ValueError, match=message):
            ask(**asked)
    assert "d" not in read_settings(tmp_path)["methods"], "nothing is half added"
    (tmp_path / "settings" / "x.json").write_text("3")
    with pytest.raises(ValueError, match=r"x.json: cannot be read"):
        read_settings(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("times", [20, 1000])
def test_of_two_who_add_different_things_one_is_refused(tmp_path, times):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), str(times), value],
            stdout=subprocess.PIPE,
        )
        for value in ("x", "y")
    ]
    lost = [int(process.communicate()[0]) for process in both]
    assert sum(lost) == times
    for i in range(times):
        (entry,) = (tmp_path / str(i) / "settings").iterdir()
        assert json.loads(entry.read_text())[2] in ("x", "y")
