"""``jaxattr spectrum`` on a tiny classifier: files, resuming, bad input."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tiny_classifier
from PIL import Image
from small_photographs import rows

import jaxattr as ja
from jaxattr import cli
from jaxattr.evaluation.runs import unfinished
from jaxattr.evaluation.spectrum import spectrum

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = ("--bands", "3", "--batch-size", "6")


def run(folder, out, *arguments):
    return cli.main(["spectrum", str(folder), "--out", str(out), *arguments])


def test_tables_and_figures(tiny_zoo, labelled, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(labelled, out, "--model", "tiny", "--model", "tiny2", *SMALL) == 0
    assert {p.name for p in out.iterdir()} == {
        *("parts", "manifest", "settings.json", "run.json"),
        *("bands.csv", "scores.csv", "importance.png"),
        *("tiny.npz", "tiny.spread.png", "tiny.interactions.png"),
        *("tiny2.npz", "tiny2.spread.png", "tiny2.interactions.png"),
    }
    model = tiny_classifier.tiny_classifier(len("tiny"))
    images = np.stack(
        [
            model.preprocess(Image.open(labelled / f"{i}.png").convert("RGB"))
            for i in range(5)
        ]
    )
    expected = ja.spectral_importance(model, images, np.arange(5) % 4, num_bands=3)
    bands = [row for row in rows(out / "bands.csv") if row["model"] == "tiny"]
    for field, values in (
        ("value", expected.values),
        ("standard_error", expected.standard_error),
        ("share", expected.distribution),
    ):
        found = [float(row[field]) for row in bands]
        np.testing.assert_allclose(found, values, rtol=2e-4, atol=1e-6)
    first, second = rows(out / "scores.csv")
    assert (first["model"], second["model"]) == ("tiny", "tiny2")
    np.testing.assert_allclose(float(first["score"]), expected.score, rtol=1e-3)
    with np.load(out / "tiny.npz") as saved:
        assert saved["per_image"].shape == (5, 3)
        assert saved["coalition_values"].shape == (8,)
        assert saved["interactions"].shape == (3, 3)
    captured = capsys.readouterr()
    assert "standard_error" in captured.out
    assert len(captured.err.splitlines()) == 4  # two models of two parts


@pytest.mark.slow
def test_more_models_and_images_use_what_is_there(tiny_zoo, labelled, tmp_path, capsys):
    out = tmp_path / "out"
    one = ("--model", "tiny=a/best.npz")
    run(labelled, out, *one, "--max-images", "4", *SMALL)
    made = {p.name: p.stat().st_mtime_ns for p in (out / "parts").glob("*.npz")}
    assert len(made) == 1
    two = ("--model", "tiny=a/best.npz", "--model", "tiny=b/best.npz")
    assert run(labelled, out, *two, *SMALL) == 0
    # A path in a name makes no folder.
    names = ("tiny-best-.npz", "tiny-b-best.npz-.npz", "tiny-b-best.npz-.spread.png")
    assert {*names} <= {p.name for p in out.iterdir()}
    now = {p.name: p.stat().st_mtime_ns for p in (out / "parts").glob("*.npz")}
    # Models of the same weights have their rows in common.
    assert len(now) == 2
    assert made.items() <= now.items()


@pytest.mark.slow
def test_a_run_that_is_stopped_has_bands_of_what_is_done(
    tiny_zoo, labelled, tmp_path, monkeypatch, capsys
):
    out, calls, table = tmp_path / "out", [], spectrum.KINDS["bands"]

    def stopped(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return table(*arguments)

    monkeypatch.setitem(spectrum.KINDS, "bands", stopped)
    monkeypatch.setattr(unfinished, "FIRST_AFTER", 0)
    monkeypatch.setattr(unfinished, "PAUSE", 0)
    models = ("--model", "tiny", "--model", "tiny2", "--images-per-part", "4")
    assert run(labelled, out, *models, *SMALL) == 130
    assert cli.main(["report", str(out)]) == 1
    told = capsys.readouterr().err
    assert "tiny2: 4 of 5 photographs are measured." in told
    assert "tiny:" not in told
    bands = rows(out / "bands.unfinished.csv")
    assert [row["images"] for row in bands] == ["5"] * 3 + ["4"] * 3
    assert run(labelled, out, *models, *SMALL) == 0
    assert not (out / "bands.unfinished.csv").exists()
    assert [row["images"] for row in rows(out / "bands.csv")] == ["5"] * 6


_KILLED = """
import sys, time
sys.path[:0] = {paths!r}
import tiny_classifier
import jaxattr as ja
from jaxattr.evaluation.spectrum import spectrum

ja.models.load
ja.models.load = lambda name, weights=None, **o: tiny_classifier.tiny_classifier(4)
table, parts = spectrum.KINDS["bands"], []
def slow(*arguments, **options):
    if parts:
        print("half way", flush=True)
        time.sleep(60)
    parts.append(1)
    return table(*arguments, **options)
spectrum.KINDS["bands"] = slow
from jaxattr import cli
cli.main({arguments!r})
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_tables(tiny_zoo, labelled, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = ["spectrum", str(labelled), "--model", "tiny", *SMALL]
    arguments += ["--images-per-part", "4", "--out"]
    code = _KILLED.format(
        paths=[str(ROOT), str(ROOT / "tests")], arguments=[*arguments, str(broken)]
    )
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline() == "half way\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    parts = list((broken / "parts").glob("*.npz"))
    assert len(parts) == 1
    assert not (broken / "bands.csv").exists()
    before = parts[0].stat().st_mtime_ns
    time.sleep(0.02)
    assert cli.main([*arguments, str(whole)]) == 0
    assert cli.main([*arguments, str(broken)]) == 0
    assert parts[0].stat().st_mtime_ns == before, "what was there was not done again"
    shares = tmp_path / "shares"
    for shard in ("1/2", "0/2"):
        assert cli.main([*arguments, str(shares), "--shard", shard]) == 0
    assert not (shares / "bands.csv").exists()
    assert cli.main(["merge", str(shares)]) == 0
    for name in ("bands.csv", "scores.csv"):
        assert (whole / name).read_bytes() == (shares / name).read_bytes()
    for name in ("bands.csv", "scores.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


@pytest.mark.slow
def test_robustness_is_measured_when_asked(tiny_zoo, labelled, tmp_path, monkeypatch):
    names = ("gaussian_noise", "contrast")
    monkeypatch.setattr(spectrum.corruptions, "frost_folder", lambda: None)
    measured = spectrum.metrics.corruption_errors
    monkeypatch.setattr(
        spectrum.metrics,
        "corruption_errors",
        lambda *a, **k: measured(*a, names=names, severities=(1, 5), **k),
    )
    out = tmp_path / "out"
    models = ("--model", "tiny", "--model", "tiny2", "--mce", "tiny2")
    assert run(labelled, out, *models, *SMALL) == 0
    assert (out / "mce.png").exists()
    first, second = rows(out / "scores.csv")
    assert float(second["mce"]) == 1
    assert 0 < float(first["corruption_error"]) <= 1
    assert float(first["mce"]) > 0


@pytest.mark.slow
def test_attacks_are_measured_by_chunks():
    model = tiny_classifier.tiny_classifier()
    images = np.random.default_rng(0).uniform(size=(3, 16, 16, 3)).astype(np.float32)
    settings = spectrum.Settings(
        num_bands=2, attacked=("fgsm", "pgd"), images_per_batch=2, num_steps=2
    )
    (found,) = spectrum.measure({"tiny": model}, images, np.arange(3), settings)
    assert set(found.changes) == {"fgsm", "pgd"}
    attacked = ja.attacks.run(
        "fgsm", model, images, np.arange(3), epsilon=settings.epsilon
    )
    np.testing.assert_allclose(
        found.changes["fgsm"],
        ja.prediction_change(model, images, attacked.images, np.arange(3)),
        atol=1e-6,
    )
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), np.arange(3))
    attacked = ja.attacks.run(
        "pgd",
        *(model, images, np.arange(3)),
        key=keys,
        epsilon=settings.epsilon,
        num_steps=2,
    )
    np.testing.assert_allclose(
        found.changes["pgd"],
        ja.prediction_change(model, images, attacked.images, np.arange(3)),
        atol=1e-6,
    )


BAD = [
    (["--bands", "0"], "--bands: expected a whole number of at least 1"),
    (["--bands", "21"], "num_bands: expected at most 20, each doubles"),
    (["--bands", "12"], "num_bands: expected at most 9 bands of 16 x 16 pixels"),
    (["--model", "enormous"], "model: unknown 'enormous'"),
    (["--mce", "other"], "--mce: unknown 'other'"),
    (["--labels", "nowhere.csv"], "nowhere.csv: no such file"),
    (["--batch-size", "0"], "--batch-size: expected"),
    (["--max-images", "x"], "--max-images: expected"),
    (["--norm", "l1"], "--norm: invalid choice"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_told_in_one_line(
    tiny_zoo, labelled, tmp_path, capsys, arguments, message, monkeypatch
):
    monkeypatch.setattr(spectrum.corruptions, "frost_folder", lambda: None)
    given = ["--model", "tiny", *arguments]
    if "--model" in arguments:
        given = arguments
    try:
        code = run(labelled, tmp_path / "out", *given)
    except SystemExit as error:
        code = error.code
    assert code == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("jaxattr: error: ")
    assert message in line


def test_labels_missing(tiny_zoo, labelled, tmp_path, capsys):
    (labelled / "labels.csv").unlink()
    assert run(labelled, tmp_path / "out", "--model", "tiny", *SMALL) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "labels are missing" in line


def test_results_may_not_lie_on_a_class(tiny_zoo, labelled, tmp_path, capsys):
    (labelled / "labels.csv").unlink()
    (labelled / "cat").mkdir()
    (labelled / "0.png").rename(labelled / "cat" / "0.png")
    assert run(labelled, labelled / "cat", "--model", "tiny", *SMALL) == 2
    assert "holds the photographs of a class" in capsys.readouterr().err
    assert [p.name for p in (labelled / "cat").iterdir()] == ["0.png"]
