"""``jaxattr boundary`` and its figure, with a tiny classifier."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_classifier
from PIL import Image

import jaxattr as ja
from jaxattr import boundaries, cli
from jaxattr.commands import boundary as boundary_command
from jaxattr.evaluation.boundary.boundary import load_boundary


@pytest.fixture
def photograph(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return str(tmp_path / "cat.png")


@pytest.fixture
def model(monkeypatch):
    made = tiny_classifier.tiny_classifier()
    monkeypatch.setattr(ja.models, "load", lambda *_, **__: made)
    return made


def test_boundary(model, photograph, tmp_path, capsys):
    out, broken = tmp_path / "out", tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    code = cli.main(
        ["boundary", photograph, str(broken), "--out", str(out), "--search", "fab"]
    )
    assert code == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "cat.boundary.npz",
        "cat.boundary.png",
        "parts",
        "run.json",
    ]
    with np.load(out / "cat.boundary.npz") as saved:
        image, point = saved["image"], saved["point"]
        assert bool(saved["found"])
        assert saved["label_name"] != saved["behind_name"]
        labels = np.argmax(model(jnp.stack([image, point])), -1)
        np.testing.assert_array_equal(labels, [saved["label"], saved["behind"]])
        distance = np.sqrt(((image - point) ** 2).sum())
        np.testing.assert_allclose(saved["distance"], distance, rtol=1e-5)
        assert (str(saved["reason"]), len(saved["tried"])) == ("", 1)
        assert saved["bsm"].shape == saved["big"].shape == image.shape
    captured = capsys.readouterr()
    header, row, *_ = captured.out.splitlines()
    assert header.split()[:4] == ["photograph", "class", "class", "behind"]
    assert "cat.png" in row
    assert "fab" in row
    assert "skipped" in captured.err
    assert "broken.jpg" in captured.err


@pytest.mark.slow
def test_photographs_on_all_devices_have_the_boundaries_of_one(model, tmp_path):
    paths = []
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3))
        paths.append(tmp_path / f"{seed}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    found = []
    for devices in ("1", "2"):
        out = tmp_path / devices
        arguments = ["--search", "fab", "--steps", "2", "--devices", devices]
        assert (
            cli.main(["boundary", *map(str, paths), "--out", str(out), *arguments]) == 0
        )
        found.append([load_boundary(out / f"{i}.boundary.npz") for i in range(3)])
    for alone, together in zip(*found, strict=True):
        assert together.behind == alone.behind
        # As users compile it is the same to the bit; not so by the quick compilation here.
        for field in ("image", "point", "bsm", "big"):
            a, b = getattr(alone, field), getattr(together, field)
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


@pytest.fixture
def one_class(model, monkeypatch):
    """A model that takes every photograph for the same."""
    constant = dataclasses.replace(model, weights=jnp.zeros((48, 4)))
    monkeypatch.setattr(ja.models, "load", lambda *_, **__: constant)


def test_a_model_of_one_class_is_warned_of(one_class, photograph, tmp_path, capsys):
    arguments = ["boundary", photograph, "--search", "fab"]
    assert cli.main([*arguments, "--out", str(tmp_path / "o")]) == 0
    captured = capsys.readouterr()
    assert "no boundary found" in captured.out
    assert (
        "warning: cat.png: no boundary found, its maps are NaN: the logits do not "
        "change with the image (tried fab: at most 51 forward and 50 backward passes)"
    ) in captured.err
    boundary = load_boundary(tmp_path / "o" / "cat.boundary.npz")
    assert boundary.reason == "the logits do not change with the image"
    assert boundary.tried == ["fab: at most 51 forward and 50 backward passes"]


def test_several_members_with_commas_and_all():
    parsed = lambda *texts: boundary_command.members_named(texts)
    assert parsed("ddn,fab", "ddn") == ("ddn", "fab")
    assert parsed("fab, all") == boundaries.boundary_names()
    with pytest.raises(ValueError, match="--search: unknown 'ddm'; did you mean ddn"):
        parsed("fab,ddm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--search", "ddm"], "did you mean ddn"),
        (["--steps", "0"], "at least 1"),
        (["--batch-size", "x"], "whole number"),
    ],
)
def test_bad_input_is_one_line(model, photograph, tmp_path, capsys, arguments, message):
    out = ["--out", str(tmp_path / "out")]
    try:
        code = cli.main(["boundary", photograph, *arguments, *out])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("jaxattr: error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["boundary", "explain"])
def test_out_is_a_file(photograph, capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, photograph, "--out", photograph])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--out: expected a folder, got the file {photograph!r}" in line


def test_no_photograph_can_be_read(model, tmp_path, capsys):
    assert cli.main(["boundary", str(tmp_path / "no.jpg"), "--out", str(tmp_path)]) == 2
    assert "no such file" in capsys.readouterr().err
