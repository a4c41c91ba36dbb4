"""Shards of an evaluation and their merger are the run of one process."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import killed
import pytest
from small_photographs import draw_labelled, rows

from jaxattr import cli
from jaxattr.evaluation.evaluate import measure
from jaxattr.evaluation.runs import image_sets

TESTS = pathlib.Path(__file__).resolve().parents[2]
SMALL = (
    *("--curve-steps", "8", "--batch-size", "2", "--images-per-part", "2"),
    *("--model", "tiny", "--method", "saliency", "--method", "input_x_gradient"),
    *("--report-maps", "0"),
)
TABLES = ("images.csv", "summary.csv", "curves.csv", "settings.json")


def run(folder, out, *arguments):
    given = ["evaluate", folder, "--out", out, *SMALL, *arguments]
    return cli.main([*map(str, given)])


def merge(out, *arguments):
    return cli.main(["merge", str(out), *arguments])


def same_tables(one, other):
    for name in TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture
def nine(tmp_path):
    return draw_labelled(tmp_path / "photographs", 9)


@pytest.mark.slow
def test_shards_and_merge_equal_the_single_run(
    tiny_zoo, nine, tmp_path, capsys, monkeypatch
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(nine, whole) == 0
    assert run(nine, out, "--shard", "0/3") == 0
    assert "shard 0/3: 4 photographs are done" in capsys.readouterr().out
    arguments = ["evaluate", str(nine), "--out", str(out), *SMALL, "--shard=1/3"]
    killed.run_and_kill(
        arguments,
        module="jaxattr.evaluation.evaluate.measure",
        function="_scores",
        calls=1,
    )
    assert run(nine, out, "--shard", "2/3") == 0
    assert not (out / "images.csv").exists(), "shards write no tables"

    # What is missing is named, and there are tables of the rest.
    capsys.readouterr()
    assert merge(out) == 1
    line = "input_x_gradient on tiny: 3 of 9 photographs: 2.png, 3.png, 8.png"
    assert f"jaxattr: missing {line}\n" in capsys.readouterr().err
    assert len(rows(out / "images.csv")) == 2 * 2 * 6

    made, scores = [], measure._scores
    monkeypatch.setattr(measure, "_scores", lambda *a: (made.append(a), scores(*a))[1])
    assert run(nine, out, "--shard", "1/3") == 0
    assert len(made) == 3, "what was there was not done again"
    capsys.readouterr()

    # Neither models nor photographs are needed.
    def never(*arguments):
        raise AssertionError

    monkeypatch.setattr(image_sets, "_read", never)
    assert merge(out) == 0
    assert "insertion" in capsys.readouterr().out
    same_tables(whole, out)
    run_json = json.loads((out / "run.json").read_text())
    assert "--shard" not in run_json["arguments"]
    assert {p.name for p in out.glob("*.png")} == {p.name for p in whole.glob("*.png")}


def test_begun_with_eight_shards_and_finished_with_three(
    tiny_zoo, mock_scores, no_figures, nine, tmp_path, capsys
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(nine, whole) == 0
    assert run(nine, out, "--prepare") == 0
    for i in (1, 6, 7):
        assert run(nine, out, "--shard", f"{i}/8") == 0
    assert "shard 7/8: nothing to do" in capsys.readouterr().err
    before = len(mock_scores)
    for i in range(3):
        assert run(nine, out, "--shard", f"{i}/3") == 0
    assert len(mock_scores) - before < before, "of 5 batches one was done"
    assert merge(out, "--quiet") == 0
    same_tables(whole, out)


def test_shards_of_other_settings(tiny_zoo, mock_scores, nine, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(nine, out, "--shard", "0/2") == 0
    capsys.readouterr()
    for arguments, message in [
        (("--seed", "1"), "has results of other settings, key: "),
        (("--batch-size", "3"), "has results of other settings, batch_size: "),
        (("--shard", "2/2"), "shards count from 0, the last of 2 is 1/2, got '2/2'"),
        (("--shard", "1"), "expected I/N, such as 0/4, or auto, got '1'"),
        (("--shard", "0/0"), "N is 0"),
        (("--coordinator", "x:1"), "--coordinator: only for --shard auto"),
    ]:
        try:
            code = run(nine, out, "--shard", "1/2", *arguments)
        except SystemExit as error:
            code = error.code
        assert code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_folders_that_cannot_be_merged(tmp_path, capsys):
    def message():
        assert merge(tmp_path / "out") == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "no such folder of results" in message()
    (tmp_path / "out").mkdir()
    assert "settings.json: cannot be read" in message()
    (tmp_path / "out" / "settings.json").write_text('{"job": "x"}')
    assert "no results that can be merged (x)" in message()


_AUTO = """
import sys
sys.path[:0] = {paths!r}
import tiny_classifier
import jaxattr as ja

ja.models.load
ja.models.load = lambda name, weights=None, **o: tiny_classifier.tiny_classifier(4)
from jaxattr import cli
from jaxattr.evaluation.evaluate import measure
sys.exit(cli.main(sys.argv[1:]))
"""


def start(*arguments):
    code = _AUTO.format(paths=[str(TESTS.parent), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )


@pytest.mark.slow
def test_two_processes_that_jax_distributed_counts(tiny_zoo, nine, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [
        start(
            *("evaluate", nine, "--out", out, *SMALL, "--shard", "auto"),
            *("--coordinator", f"127.0.0.1:{port},{i}/2"),
        )
        for i in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    done = [
        {(r[-4], r[-3]) for r in (n.split() for n in e.splitlines() if "tiny " in n)}
        for e in errors
    ]
    assert done[0]
    assert done[1]
    ranges = [p.name.split("-")[-3:-1] for p in (out / "parts").glob("tiny-sal*.npz")]
    assert sorted(ranges) == [
        [f"{i:08d}", f"{min(i + 1, 8):08d}"] for i in range(0, 9, 2)
    ], "disjoint, and complete"
    assert merge(out, "--quiet") == 0
    assert run(nine, whole) == 0
    same_tables(whole, out)


@pytest.mark.slow
def test_a_coordinator_that_does_not_answer(nine, tmp_path):
    code = (
        "from jaxattr.commands import _shares\n_shares.COORDINATOR_SECONDS = 3\n"
        + _AUTO
    )
    code = code.format(paths=[str(TESTS.parent), str(TESTS)])
    arguments = ["evaluate", nine, "--out", tmp_path / "out", *SMALL, "--shard", "auto"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)]
        + ["--coordinator", "127.0.0.1:9,1/2"],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert "--shard auto: no coordinator at 127.0.0.1:9 within 3 s" in line
    assert not (tmp_path / "out").exists()
