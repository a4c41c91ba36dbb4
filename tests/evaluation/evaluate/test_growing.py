"""Only what is new is computed; photographs that change or vanish."""

import os

import numpy as np
import pytest
from small_photographs import draw, rows

from jaxattr import cli
from jaxattr.evaluation.runs import image_sets

pytestmark = pytest.mark.usefixtures("no_figures")

SMALL = (
    *("--curve-steps", "8", "--batch-size", "2", "--model", "tiny"),
    *("--report-maps", "0"),
)


def run(folder, out, *arguments):
    given = ["evaluate", folder, "--out", out, *SMALL, *arguments]
    return cli.main([*map(str, given)])


def asked(calls):
    """Method and number of metrics of each batch that was computed, then forgotten."""
    found = [(method, len(columns)) for method, _, columns in calls]
    calls.clear()
    return found


def test_methods_metrics_and_models_that_are_added(
    tiny_zoo, mock_scores, labelled, tmp_path
):
    out = tmp_path / "out"
    one = ("--method", "saliency", "--metric", "insertion")
    assert run(labelled, out, *one) == 0
    assert asked(mock_scores) == [("saliency", 1)] * 3
    before = {p.name: p.stat().st_mtime_ns for p in (out / "parts").glob("*.npz")}
    assert len(before) == 2, "a file of predictions and one of scores"
    first = rows(out / "images.csv")

    two = (*one, "--method", "smoothgrad")
    assert run(labelled, out, *two) == 0
    assert asked(mock_scores) == [("smoothgrad", 1)] * 3

    assert run(labelled, out, *two, "--metric", "deletion") == 0
    assert asked(mock_scores) == [("saliency", 1), ("smoothgrad", 1)] * 3
    assert run(labelled, out, *one, "--model", "tiny2") == 0
    assert asked(mock_scores) == [("saliency", 1)] * 3
    now = {p.name: p.stat().st_mtime_ns for p in (out / "parts").glob("*.npz")}
    assert before.items() <= now.items()
    assert len(now) == 7

    # What was asked for first is there as it was, in whatever order it is asked for.
    assert run(labelled, out, *one) == 0
    assert rows(out / "images.csv") == first
    assert run(labelled, out, "--method", "smoothgrad", "--method", "saliency") == 0
    assert asked(mock_scores) == []


def test_photographs_that_are_added(tiny_zoo, mock_scores, labelled, tmp_path):
    out, given = tmp_path / "out", ("--method", "saliency", "--metric", "insertion")
    assert run(labelled, out, *given, "--max-images", "3") == 0
    assert asked(mock_scores) == [("saliency", 1)] * 2
    kept = rows(out / "images.csv")
    # One that comes first by name: those that were there keep their places.
    draw(labelled / "00.png", 17)
    table = labelled / "labels.csv"
    table.write_text(table.read_text() + "\n00.png,2")
    assert run(labelled, out, *given) == 0
    assert asked(mock_scores) == [("saliency", 1)] * 2, "places 3; 4 and 5"
    found = rows(out / "images.csv")
    assert [r["file"] for r in found] == [*(f"{i}.png" for i in range(3)), "00.png",
                                          "3.png", "4.png"]  # fmt: skip
    assert found[:3] == kept
    # A part that holds more than is asked for.
    assert run(labelled, out, *given, "--max-images", "2") == 0
    assert asked(mock_scores) == []
    assert rows(out / "images.csv") == kept[:2]


def test_a_finished_run_opens_no_photograph(tiny_zoo, mock_scores, labelled, tmp_path):
    out = tmp_path / "out"
    maps = ("--report-maps", "1")
    assert run(labelled, out, *maps) == 0
    table = (out / "images.csv").read_bytes()
    for path in labelled.glob("*.png"):
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(labelled, out, *maps) == 0
    assert (out / "images.csv").read_bytes() == table
    # Touched, it is looked at.
    os.utime(path)
    assert run(labelled, out, *maps) == 2


def test_a_photograph_that_changes_during_the_run(
    tiny_zoo, mock_scores, labelled, tmp_path, capsys
):
    out = tmp_path / "out"
    assert run(labelled, out, "--prepare") == 0
    assert not mock_scores
    status = (labelled / "3.png").stat()
    draw(labelled / "3.png", 99)
    os.utime(labelled / "3.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    capsys.readouterr()
    assert run(labelled, out, "--quiet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{labelled / '3.png'}: has changed since this run began" in line


@pytest.mark.parametrize("on_missing", ["skip", "stop"])
def test_a_photograph_that_vanishes_during_the_run(
    tiny_zoo, mock_scores, labelled, tmp_path, capsys, monkeypatch, on_missing
):
    out, read = tmp_path / "out", image_sets._read

    def vanishing(item):
        (labelled / "3.png").unlink(missing_ok=True)
        return read(item)

    monkeypatch.setattr(image_sets, "_read", vanishing)
    code = run(labelled, out, "--on-missing", on_missing, "--quiet")
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert "3.png: is gone since the run began" in errors[0]
    assert code == (1 if on_missing == "skip" else 2)
    if on_missing == "skip":
        names = [r["file"] for r in rows(out / "images.csv")]
        assert set(names) == {f"{i}.png" for i in (0, 1, 2, 4)}
        # Started again, it is skipped from the beginning, though the table names it.
        mock_scores.clear()
        assert run(labelled, out, "--quiet") == 1
        assert not mock_scores
        assert "3.png: is gone" in capsys.readouterr().err
        assert [r["file"] for r in rows(out / "images.csv")] == names
    else:
        assert run(labelled, out, "--on-missing", "stop", "--quiet") == 2
        assert "3.png: is gone" in capsys.readouterr().err


@pytest.mark.slow
def test_the_first_of_a_batch_may_vanish_and_all_of_it(
    tiny_zoo, mock_scores, labelled, tmp_path, monkeypatch
):
    read = image_sets._read

    def vanishing(item):
        for i in (0, 2, 3):
            (labelled / f"{i}.png").unlink(missing_ok=True)
        return read(item)

    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(labelled, whole) == 0
    monkeypatch.setattr(image_sets, "_read", vanishing)
    assert run(labelled, out) == 1
    left = [r for r in rows(whole / "images.csv") if r["file"] in ("1.png", "4.png")]
    assert rows(out / "images.csv") == left


def test_files_are_few_and_curves_are_half_precision(
    tiny_zoo, mock_scores, labelled, tmp_path
):
    out = tmp_path / "out"
    run(labelled, out, "--method", "saliency", "--images-per-part", "4")
    parts = sorted(p.name for p in (out / "parts").glob("*.npz"))
    assert [name.split("-")[-3:-1] for name in parts if "saliency" in name] == [
        ["00000000", "00000003"], ["00000004", "00000004"],
    ]  # fmt: skip
    with np.load(out / "parts" / parts[-1]) as part:
        curves = [f for f in part.files if f.endswith(".curve")]
        assert len(curves) == 2
        assert {part[f].dtype for f in curves} == {np.dtype(np.float16)}
