"""``jaxattr boundary`` and its figure, with a tiny classifier."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_photographs
import tiny_classifier
from matplotlib.figure import Figure
from PIL import Image

import jaxattr as ja
from jaxattr import boundaries, cli, plots
from jaxattr.commands import boundary as boundary_command


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
    ]
    with np.load(out / "cat.boundary.npz") as saved:
        image, point = saved["image"], saved["point"]
        assert bool(saved["found"])
        assert saved["label_name"] != saved["behind_name"]
        labels = np.argmax(model(jnp.stack([image, point])), -1)
        np.testing.assert_array_equal(labels, [saved["label"], saved["behind"]])
        distance = np.sqrt(((image - point) ** 2).sum())
        np.testing.assert_allclose(saved["distance"], distance, rtol=1e-5)
        assert saved["bsm"].shape == saved["big"].shape == image.shape
    captured = capsys.readouterr()
    header, row, *_ = captured.out.splitlines()
    assert header.split()[:4] == ["photograph", "class", "class", "behind"]
    assert "cat.png" in row
    assert "fab" in row
    assert "skipped" in captured.err
    assert "broken.jpg" in captured.err


@pytest.fixture
def one_class(model, monkeypatch):
    """A model that takes every photograph for the same."""
    constant = dataclasses.replace(model, weights=jnp.zeros((48, 4)))
    monkeypatch.setattr(ja.models, "load", lambda *_, **__: constant)


def test_a_model_of_one_class_is_warned_of(one_class, photograph, tmp_path, capsys):
    arguments = ["boundary", photograph, "--search", "fab"]
    assert cli.main([*arguments, "--out", str(tmp_path / "o")]) == 0
    captured = capsys.readouterr()
    assert "none found" in captured.out
    assert (
        "warning: cat.png: no image of another class was found; its maps are NaN"
        in captured.err
    )


def test_explain_warns_of_it_too(one_class, photograph, tmp_path, capsys):
    methods = ["--method", "bsm", "--method", "big", "--method", "bsg"]
    less = ["--option", "bsg.num_samples=2", "--curve-steps", "0"]
    out = tmp_path / "o"
    arguments = ["explain", photograph, *methods, *less, "--out", str(out)]
    assert cli.main(arguments) == 0
    warnings = [
        line for line in capsys.readouterr().err.splitlines() if "warning" in line
    ]
    assert warnings == [
        f"jaxattr: warning: {photograph}: no image of another class was found; "
        "its maps are NaN (bsm, big, bsg)"
    ]
    with np.load(out / "cat.bsg.npz") as saved:
        assert np.isnan(saved["map"]).all()
        # As quick as `jaxattr boundary`, and on record.
        assert json.loads(str(saved["options"]))["search"] == "deepfool,ddn,fab"


def test_evaluate_scores_the_methods_at_the_boundary(tiny_zoo, labelled, tmp_path):
    """As ``evaluate`` makes them: alone with its own key each has the score of the run."""
    methods = {
        "bsm": {"search": "fab"},
        "big": {"search": "fab", "num_steps": 2},
        "bsg": {"search": "fab", "num_samples": 2},
    }
    options = [
        f"--option={method}.{name}={value}"
        for method, given in methods.items()
        for name, value in given.items()
    ]
    out = tmp_path / "out"
    arguments = ["evaluate", str(labelled), "--out", str(out), "--model", "tiny"]
    arguments += [f"--method={method}" for method in methods] + options
    arguments += ["--metric", "insertion", "--curve-steps", "4", "--batch-size", "2"]
    assert cli.main(arguments) == 0
    scored = small_photographs.rows(out / "images.csv")
    assert len(scored) == 3 * 5
    tiny = tiny_classifier.tiny_classifier(len("tiny"))
    with Image.open(labelled / "1.png") as photograph:
        image = jnp.asarray(tiny.preprocess(photograph.convert("RGB")))[None]
    label, keys = jnp.array([1]), jax.random.fold_in(jax.random.key(0), 1)[None]

    def area(method, given):
        maps = getattr(ja, method)(tiny, image, label, key=keys, **given)
        curve = ja.insertion_curve(tiny, image, maps, labels=label, num_steps=4)
        return ja.area_under_curve(curve)[0]

    areas = jax.jit(lambda: {m: area(m, given) for m, given in methods.items()})()
    for method, expected in areas.items():
        (row,) = (r for r in scored if (r["method"], r["file"]) == (method, "1.png"))
        # Pixels of a pool have one gradient, and rounding orders them.
        assert float(row["score"]) == pytest.approx(float(expected), abs=2e-3)


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


def test_boundary_row_amplifies_the_difference_around_grey():
    rng = np.random.default_rng(0)
    image = rng.uniform(0.2, 0.8, (6, 5, 3))
    point = image + rng.choice([-0.01, 0.005], image.shape)
    axes = Figure().subplots(1, 4)
    drawn = plots.boundary_row(
        image,
        point,
        {"BSM": rng.normal(size=(6, 5, 3))},
        axes,
        captions=("cat", "dog"),
        distance=0.5,
    )
    assert drawn is axes
    shown = axes[2].images[0].get_array()
    np.testing.assert_allclose(shown, 0.5 + 50 * (point - image), atol=1e-9)
    assert axes[0].get_xlabel() == "cat"
    assert axes[1].get_xlabel() == "dog\n0.5 away"
    assert axes[2].get_xlabel() == "× 50"
    assert axes[1].get_title() == "At the boundary"


def test_boundary_row_where_none_was_found():
    image = np.random.default_rng(0).uniform(0.2, 0.8, (6, 5, 3))
    axes = plots.boundary_row(
        image, image, {}, Figure().subplots(1, 3), distance=np.inf
    )
    assert [ax.get_title() for ax in axes] == ["Photograph", "None found", "Difference"]
    assert axes[1].get_xlabel() == ""
    assert axes[2].get_xlabel() == "none"


def test_boundary_row_misuse():
    image = np.zeros((4, 4, 3))
    with pytest.raises(ValueError, match="point: expected"):
        plots.boundary_row(image, image[:2], {})
    with pytest.raises(ValueError, match="axes: expected 3 axes"):
        plots.boundary_row(image, image, {}, Figure().subplots(1, 2))


def test_score_groups_draws_a_point_and_an_interval_for_each():
    ax = Figure().subplots()
    means = {"A": {"IG": 1.0, "BIG": 2.0}, "B": {"IG": 0.5, "BIG": 0.1}}
    intervals = {
        model: {method: (v - 0.1, v + 0.1) for method, v in values.items()}
        for model, values in means.items()
    }
    assert plots.score_groups(means, intervals, ax) is ax
    heights = [
        list(line.get_ydata()) for line in ax.lines if len(line.get_ydata()) == 2
    ]
    assert heights == [[1.0, 2.0], [0.5, 0.1]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["IG", "BIG"]
