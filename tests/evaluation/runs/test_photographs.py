"""Jobs that take photographs one after the other: killed, resumed, and changed."""

import killed
import numpy as np
import pytest
import small_photographs
import tiny_classifier
from quick import quick

from jaxattr import cli
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.photographs import Photographs, ResultFiles

SMALL = {
    "explain": (
        *("--method", "saliency", "--method", "smoothgrad", "--curve-steps", "4"),
        *("--option", "smoothgrad.num_samples=2"),
    ),
    "boundary": ("--search", "ddn", "--steps", "2", "--devices", "1"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "each"), [("explain", 2), ("boundary", 1)])
def test_killed_and_resumed_gives_the_same_files(
    tiny_zoo, tmp_path, monkeypatch, command, each
):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        small_photographs.draw(path, i)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [command, *map(str, paths), "--model", "tiny", *SMALL[command], "--out"]
    killed.run_and_kill(
        [*arguments, str(broken)],
        module="jaxattr.evaluation.runs.programs",
        function="timed",
        calls=each + each // 2,  # in the middle of the second photograph
    )
    there = {p: p.stat().st_mtime_ns for p in broken.iterdir() if p.is_file()}
    assert len(list(broken.glob("0.*npz"))) == each
    assert len(list(broken.glob("1.*npz"))) == each // 2
    assert cli.main([*arguments, str(whole)]) == 0
    calls, timed = [], programs.timed
    monkeypatch.setattr(
        programs, "timed", lambda *a, **k: (calls.append(1), timed(*a, **k))[1]
    )
    assert cli.main([*arguments, str(broken)]) == 0
    assert len(calls) == 3 * each - (each + each // 2), "what was there was not made"
    contents = lambda folder: {
        p.name: p.read_bytes().replace(str(folder).encode(), b"OUT")
        for p in folder.iterdir()
        if p.is_file()
    }
    assert contents(broken) == contents(whole)
    assert {p: p.stat().st_mtime_ns for p in there} == there


@pytest.mark.slow
@pytest.mark.parametrize("command", quick(SMALL, "explain"))
def test_shares_make_the_files_of_one_run(
    tiny_zoo, tmp_path, monkeypatch, capsys, command
):
    paths = [tmp_path / f / "cat.png" for f in "abc"]
    for i, path in enumerate(paths):
        small_photographs.draw(path, i)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    given = [command, *map(str, paths), str(bad), "--model", "tiny", *SMALL[command]]

    def run(out, *words):
        code = cli.main([*given, "--out", str(tmp_path / out), *words])
        return code, *capsys.readouterr()

    for index in (1, 0, 3, 4):
        code, text, errors = run("shares", "--shard", f"{index}/5")
        assert code == (1 if index == 3 else 0)
        assert f"shard {index}/5; the same command without --shard" in text
        assert ("bad.png: the file is empty" in errors) == (index == 3)
    assert "cat-3" not in {
        p.name.split(".")[0] for p in (tmp_path / "shares").iterdir()
    }
    calls, timed = [], programs.timed
    monkeypatch.setattr(
        programs, "timed", lambda *a, **k: (calls.append(1), timed(*a, **k))[1]
    )
    code, text, _ = run("shares")
    assert code == 1
    assert len(calls) == (2 if command == "explain" else 1), "of the third cat alone"
    _, expected, _ = run("one")
    contents = lambda out: {
        p.name: p.read_bytes().replace(str(tmp_path / out).encode(), b"OUT")
        for p in (tmp_path / out).iterdir()
        if p.is_file()
    }
    assert contents("shares") == contents("one")
    assert text.count("cat.png") == expected.count("cat.png")


def test_files_are_written_once_for_the_same_settings(tmp_path):
    path, calls = tmp_path / "a.txt", []

    def write(text):
        calls.append(text)
        path.write_text(text)
        return {"length": len(text)}

    def made(text, **settings):
        files = ResultFiles(tmp_path, settings)
        facts = files.write("a", {"text": text}, [path], lambda: write(text))
        assert facts["length"] == len(text)
        return path.read_text()

    assert [made("x"), made("x"), made("yy"), made("x")] == ["x", "x", "yy", "x"]
    assert calls == ["x", "yy", "x"]
    made("x", seed=1)
    assert calls == ["x", "yy", "x", "x"]
    path.unlink()
    assert made("x", seed=1) == "x"
    assert len(calls) == 5


def test_photographs_that_cannot_be_read_are_named(tmp_path):
    model = tiny_classifier.tiny_classifier()
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    small_photographs.draw(good, 0)
    bad.write_bytes(b"")
    photographs = Photographs([bad, good, good], model)
    found = list(photographs)
    assert [photograph.stem for photograph in found] == ["a", "a-2"]
    assert found[0].pixels == found[1].pixels
    assert found[0].image.shape == (1, 16, 16, 3)
    assert np.asarray(found[0].image).max() > 0
    (reason,) = photographs.broken
    assert reason.startswith(f"{bad}: the file is empty")
    with pytest.raises(ValueError, match="b.png: the file is empty"):
        list(Photographs([bad], model))


def test_calls_with_one_folder_of_results_keep_them_apart(tiny_zoo, tmp_path):
    a, b = tmp_path / "a" / "x.png", tmp_path / "b" / "X.png"
    for seed, path in enumerate((a, b)):
        small_photographs.draw(path, seed)
    out = tmp_path / "out"

    def explain(path):
        given = ["explain", path, "--model", "tiny", "--method", "saliency"]
        assert cli.main([*map(str, given), "--no-curves", "--out", str(out)]) == 0
        return {p.name: p.stat().st_mtime_ns for p in out.rglob("[xX]*.*")}

    first, second = explain(a), explain(b)
    assert {"x.png", "x.saliency.npz"} <= set(first)
    assert {"X-2.png", "X-2.saliency.npz"} <= set(second)
    assert {name: second[name] for name in first} == first
    # Each is found again, and nothing is made anew.
    for path in (b, a, b):
        assert explain(path) == second
