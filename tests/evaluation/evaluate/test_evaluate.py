"""``evaluate`` and ``jaxattr evaluate``: scores, files, resuming, bad input."""

import dataclasses
import errno
import json
import os

import jax
import jax.numpy as jnp
import killed
import numpy as np
import pytest
import tiny_classifier
from PIL import Image
from quick import quick
from small_photographs import draw, rows
from tiny_classifier import LABELS

import jaxattr as ja
from jaxattr import cli
from jaxattr.evaluation import Curve, evaluate
from jaxattr.evaluation.evaluate import measure
from jaxattr.evaluation.evaluate.settings import about
from jaxattr.evaluation.runs import files
from jaxattr.evaluation.runs.settings import claim

METHODS = {"saliency": {}, "smoothgrad": {"num_samples": 3}}
SMALL = (
    *("--method", "saliency", "--method", "smoothgrad", "--curve-steps", "8"),
    *("--option", "smoothgrad.num_samples=3", "--batch-size", "2"),
    *("--report-maps", "0"),
)
METRICS = (Curve("insertion", num_steps=8), Curve("deletion", num_steps=8))
KEY = jax.random.key(0)


def run(folder, out, *arguments):
    given = arguments if "--model" in arguments else ("--model", "tiny", *arguments)
    return cli.main(["evaluate", str(folder), "--out", str(out), *map(str, given)])


def as_seen(folder, count=5):
    model = tiny_classifier.tiny_classifier(len("tiny"))
    photographs = [Image.open(folder / f"{i}.png").convert("RGB") for i in range(count)]
    return model, jnp.stack([model.preprocess(p) for p in photographs])


def test_tables_hold_what_the_library_says(tiny_zoo, labelled, tmp_path, capsys):
    out = tmp_path / "out"
    given = (*SMALL, "--model", "tiny", "--model", "tiny2", "--report-maps", "1")
    assert run(labelled, out, *given) == 0
    assert {p.name for p in out.iterdir()} == {
        *("parts", "manifest", "settings", "settings.json", "run.json"),
        *("images.csv", "summary.csv"),
        *("curves.csv", "timings.csv", "report_maps"),
        *("tiny.curves.png", "tiny.bars.png", "tiny2.curves.png", "tiny2.bars.png"),
    }
    images = rows(out / "images.csv")
    assert len(images) == 2 * 2 * 2 * 5
    model, pixels = as_seen(labelled)
    labels = jnp.arange(5) % 4
    probabilities = jax.nn.softmax(model(pixels))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(5))
    # Alone with its own key every photograph has the scores of the run.
    function = {"insertion": ja.insertion_curve, "deletion": ja.deletion_curve}

    @jax.jit
    def alone(image, label, key):
        maps = ja.smoothgrad(model, image, label, key=key, num_samples=3)
        return {
            kind: ja.area_under_curve(f(model, image, maps, labels=label, num_steps=8))
            for kind, f in function.items()
        }

    for i in (0, 4):
        one = slice(i, i + 1)
        areas = alone(pixels[one], labels[one], keys[one])
        for kind in function:
            (row,) = (
                r
                for r in images
                if (r["model"], r["method"], r["metric"], r["file"])
                == ("tiny", "smoothgrad", kind, f"{i}.png")
            )
            area = float(areas[kind][0])
            assert float(row["score"]) == pytest.approx(area, abs=2e-5)
            assert row["protocol"] == "channel_sum, 8 steps, substrate 0, given class"
            assert row["class"] == str(i % 4)
            assert row["predicted"] == str(int(probabilities[i].argmax()))
            probability = float(probabilities[i, i % 4])
            assert float(row["probability"]) == pytest.approx(probability, rel=1e-4)
            assert float(row["shown"]) == pytest.approx(0.5, abs=0.01)
    for row in rows(out / "summary.csv"):
        of = {
            method: np.array(
                [
                    float(r["score"])
                    for r in images
                    if (r["model"], r["metric"], r["method"])
                    == (row["model"], row["metric"], method)
                ]
            )
            for method in METHODS
        }
        mine = of[row["method"]]
        assert float(row["mean"]) == pytest.approx(mine.mean(), abs=1e-5)
        assert float(row["low"]) < mine.mean() < float(row["high"])
        gap = (mine - of["saliency"]).mean()
        assert float(row["difference"]) == pytest.approx(gap, abs=1e-5)
        assert row["reference"] == "saliency"
    captured = capsys.readouterr()
    assert "smoothgrad" in captured.out
    assert "images/s" in captured.out
    assert "[20/20, " in captured.err


def test_orders_are_named_and_tell_how_much_they_show(
    tiny_zoo, no_figures, labelled, tmp_path
):
    both = ("--order", "channel_sum", "--order", "channel_union")
    out = tmp_path / "out"
    assert run(labelled, out, *SMALL, *both, "--metric", "insertion") == 0
    shown = {}
    for row in rows(out / "images.csv"):
        shown.setdefault(row["protocol"].split(",")[0], []).append(float(row["shown"]))
    assert np.mean(shown["channel_union"]) > np.mean(shown["channel_sum"]) + 0.05


def test_a_folder_a_class_and_photographs_that_cannot_be_read(
    tiny_zoo, no_figures, tmp_path, capsys
):
    folder, out = tmp_path / "photographs", tmp_path / "out"
    for i, name in enumerate(("espresso", "espresso", "tiger cat")):
        draw(folder / name / f"{i}.png", i)
    broken = folder / "espresso" / "1.png"
    good = broken.read_bytes()
    broken.write_bytes(good[:100])
    assert run(folder, out, *SMALL) == 1
    (line,) = (x for x in capsys.readouterr().err.splitlines() if "skipped" in x)
    assert str(broken) in line
    files_named = {(r["file"], r["class"]) for r in rows(out / "images.csv")}
    assert files_named == {("espresso/0.png", "2"), ("tiger cat/2.png", "1")}
    # Mended, it is taken in.
    broken.write_bytes(good)
    assert run(folder, out, *SMALL) == 0
    assert len({r["file"] for r in rows(out / "images.csv")}) == 3


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_tables(
    tiny_zoo, labelled, tmp_path, monkeypatch
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = ["evaluate", str(labelled), "--model", "tiny", *SMALL]
    arguments += ["--images-per-part", "2", "--out"]
    killed.run_and_kill(
        [*arguments, str(broken)],
        module="jaxattr.evaluation.evaluate.measure",
        function="_scores",
        calls=3,
    )
    # Two photographs by both methods, two more by the first.
    assert len(list((broken / "parts").glob("tiny-[!p]*.npz"))) == 3
    assert not (broken / "summary.csv").exists()
    assert len(rows(broken / "images.csv")) == 2 * 2 * 2
    assert cli.main([*arguments, str(whole)]) == 0
    made, scores = [], measure._scores
    monkeypatch.setattr(measure, "_scores", lambda *a: (made.append(a), scores(*a))[1])
    assert cli.main([*arguments, str(broken)]) == 0
    assert len(made) == 3, "what was there was not done again"
    assert (whole / "images.csv").read_bytes() == (broken / "images.csv").read_bytes()
    for name in ("summary.csv", "curves.csv", "settings.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


@pytest.mark.slow
def test_each_method_compiles_once_for_all_images_and_all_weights():
    images = jax.random.uniform(KEY, (5, 16, 16, 3))
    labels = jnp.arange(5) % 4
    given = {"key": KEY, "batch_size": 2}
    first = {"a": tiny_classifier.tiny_classifier(0)}
    # The first two of the three batches leave nothing to trace for the ragged third.
    evaluate(first, METHODS, METRICS, images[:4], labels[:4], **given)
    tiny_classifier.calls.clear()
    both = first | {"b": tiny_classifier.tiny_classifier(1)}
    found = evaluate(both, METHODS, METRICS, images, labels, **given)
    assert tiny_classifier.calls == []
    assert len(found.results) == 4
    assert found.scores("b", "smoothgrad").shape == (5,)


@pytest.mark.slow
def test_a_mesh_changes_nothing(monkeypatch):
    devices, scores = [], measure._scores

    def looking(job, model, method, options, batch, columns, explain):
        devices.append({len(x.sharding.device_set) for x in (*batch, model.weights)})
        return scores(job, model, method, options, batch, columns, explain)

    monkeypatch.setattr(measure, "_scores", looking)
    images = jax.random.uniform(KEY, (5, 16, 16, 3))
    labels = jnp.arange(5) % 4
    model = tiny_classifier.tiny_classifier()
    mesh = jax.make_mesh((4,), ("batch",))
    alone, spread = (
        evaluate(model, METHODS, METRICS, images, labels, key=KEY, mesh=m, batch_size=4)
        for m in (None, mesh)
    )
    assert devices == [{1}] * 4 + [{4}] * 4
    for one, other in zip(alone.results, spread.results, strict=True):
        for i in range(2):
            np.testing.assert_array_equal(
                one.measured[i]["curve"], other.measured[i]["curve"]
            )


def test_models_methods_and_metrics_of_ones_own(tmp_path):
    weights = jax.random.normal(KEY, (16 * 16 * 3, 4)) / 30

    def flat(images):
        return images.reshape(len(images), -1) @ weights

    def corner(logits_fn, images, labels, *, key, batch_size, size=4):
        return jnp.zeros_like(images).at[:, :size, :size].set(1.0)

    def mass(logits_fn, images, maps, labels, *, key, batch_size):
        return jnp.sum(maps, axis=(1, 2, 3))

    images, labels = jax.random.uniform(KEY, (3, 16, 16, 3)), jnp.arange(3)
    asked = {"corner": corner, "large": (corner, {"size": 8}), "IG": "saliency"}
    given = (images, labels)
    found = evaluate(flat, asked, {"mass": mass}, *given, key=KEY, out=tmp_path)
    assert [r.method for r in found.results] == list(asked)
    np.testing.assert_array_equal(found.scores("flat", "corner"), [48.0] * 3)
    np.testing.assert_array_equal(found.scores("flat", "large"), [192.0] * 3)
    assert not list(tmp_path.glob("*.curves.png"))
    # Other weights in the same function are another model.
    weights = 2 * weights
    with pytest.raises(ValueError, match=r"settings, models\.flat\.\w+: .* there"):
        evaluate(flat, asked, {"mass": mass}, *given, key=KEY, out=tmp_path)


@pytest.mark.slow
def test_methods_on_features_need_a_model_in_two_halves(tmp_path):
    """By name NAA takes the halves of the model, as Grad-CAM does."""
    naa = ("attexplore_pp", {"attack": "naa", "num_steps": 2})
    images, labels = jax.random.uniform(KEY, (2, 16, 16, 3)), jnp.arange(2)
    given = {"images": images, "labels": labels, "key": KEY, "metrics": METRICS[:1]}
    split = tiny_classifier.tiny_classifier()
    found = evaluate(split, {"NAA": naa}, **given).results[0]
    attack = ja.attacks.naa(split.features, split.head)
    own = ("attexplore_pp", {"attack": attack, "num_steps": 2})
    expected = evaluate(split, {"NAA": own}, **given).results[0]
    np.testing.assert_array_equal(
        found.measured[0]["curve"], expected.measured[0]["curve"]
    )

    def whole(images):
        return split(images)

    for methods_asked, message in [
        ({"NAA": naa}, "NAA: naa: expected a model split in two"),
        ("grad_cam", "grad_cam: logits_fn: expected a model with features and head"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(whole, methods_asked, out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_maps_that_say_nothing_are_told(tmp_path, capsys):
    def bad(logits_fn, images, labels, *, key, batch_size):
        return images.at[1].set(jnp.nan).at[2].set(0)

    from jaxattr.evaluation.runs.progress import Progress

    images, labels = jax.random.uniform(KEY, (3, 16, 16, 3)), jnp.arange(3)
    model = tiny_classifier.tiny_classifier()
    with Progress(0) as progress:
        found = evaluate(
            model, bad, METRICS, images, labels, key=KEY, progress=progress
        )
    np.testing.assert_array_equal(found.results[0].finite, [True, False, True])
    said = capsys.readouterr().err
    assert "warning: 1: the map of bad on tiny is not finite" in said
    assert "warning: 2: the map of bad on tiny is zero everywhere" in said
    assert said.count("warning") == 2


OTHER = [
    (["--option", "smoothgrad.stddev=0.3"], "methods.smoothgrad.options.stddev: 0.15 "),
    (["--seed", "1"], "key: [0, 0] there, [0, 1] now"),
    (["--batch-size", "3"], "batch_size: 2 there, 3 now"),
    (["--explained", "predicted"], 'explained: "given" there, "predicted" now'),
]


def test_results_of_other_options_are_refused(
    tiny_zoo, no_figures, labelled, tmp_path, capsys
):
    out = tmp_path / "out"
    assert run(labelled, out, *SMALL) == 0
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    capsys.readouterr()
    for arguments, difference in OTHER:
        assert run(labelled, out, *SMALL, *arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"jaxattr: error: {out}: has results of other settings")
        assert difference in line
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


def test_results_of_other_photographs_are_refused(
    tiny_zoo, no_figures, labelled, tmp_path, capsys
):
    out = tmp_path / "out"
    assert run(labelled, out, *SMALL) == 0
    table = labelled / "labels.csv"
    good, photograph = table.read_text(), (labelled / "1.png").read_bytes()

    def difference():
        capsys.readouterr()
        assert run(labelled, out, *SMALL) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    draw(labelled / "1.png", 99)
    assert f"{labelled / '1.png'}: has changed since this run began" in difference()
    (labelled / "1.png").write_bytes(photograph)
    table.write_text(good.replace("1.png,1", "1.png,3"))
    assert '1.png: has results of other settings, its class: "1" there' in difference()
    table.write_text(good)
    assert run(labelled, out, *SMALL) == 0


@pytest.mark.slow
def test_another_preprocessing_is_named_as_such(tmp_path, labelled):
    import small_zoo

    given = {"key": KEY, "folder": labelled, "out": tmp_path, "max_images": 1}
    with small_zoo.in_catalog():
        model = small_zoo.load("small_resnet")
        squash, crop = (
            dataclasses.replace(
                model, config=dataclasses.replace(model.config, preprocessing=name)
            )
            for name in ("squash", "crop")
        )
        evaluate({"m": squash}, "saliency", METRICS[:1], **given)
        settings = json.loads((tmp_path / "settings.json").read_text())
        assert settings["models"]["m"]["preprocessing"] == "squash"
        with pytest.raises(
            ValueError, match=r'm.preprocessing: "squash" there, "crop"'
        ):
            asked = settings | {"models": {"m": about(crop)}}
            claim(tmp_path, asked, may_grow=["models", "class_names"])


@pytest.mark.parametrize("name", quick(["evaluation", "."], "."))
def test_results_beside_the_classes_are_gone_on_with(
    tiny_zoo, no_figures, tmp_path, monkeypatch, name
):
    """Also the default folder of results, from where the photographs are."""
    folder = tmp_path / "photographs"
    for i, label in enumerate(("espresso", "tiger cat")):
        draw(folder / label / f"{i}.png", i)
    monkeypatch.chdir(folder)
    for _ in range(2):
        assert run(".", name, *SMALL) == 0
        assert len(rows(folder / name / "images.csv")) == 2 * 2 * 2
        (folder / name / "summary.csv").unlink()


@pytest.mark.slow
def test_the_table_does_not_shrink_on_the_way(
    tiny_zoo, labelled, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    both = ("--model", "tiny", "--model", "tiny2", "--images-per-part", "2")
    assert run(labelled, out, *SMALL, *both) == 0
    whole = (out / "images.csv").read_bytes()
    # One of the last chunk, one of the first: what is made again lies between.
    for part in ("tiny2-saliency-*-00000004-*.npz", "tiny-saliency-*-00000000-*.npz"):
        (path,) = (out / "parts").glob(part)
        path.unlink()
    seen, scores = [], measure._scores

    def looking(*arguments):
        seen.append((out / "images.csv").read_bytes())
        return scores(*arguments)

    monkeypatch.setattr(measure, "_scores", looking)
    assert run(labelled, out, *SMALL, *both) == 0
    assert seen == [whole] * 2
    assert (out / "images.csv").read_bytes() == whole


def test_the_predicted_class_can_be_explained(tiny_zoo, no_figures, labelled, tmp_path):
    out = tmp_path / "out"
    assert run(labelled, out, *SMALL, "--explained", "predicted") == 0
    assert json.loads((out / "settings.json").read_text())["explained"] == "predicted"
    model, pixels = as_seen(labelled)
    predicted = model(pixels).argmax(-1)
    given = {"key": KEY, "batch_size": 2}
    expected = evaluate(model, METHODS, METRICS, pixels, predicted, **given)
    assert not np.array_equal(predicted, np.arange(5) % 4)
    found = rows(out / "images.csv")
    assert {row["protocol"] for row in found} == {
        "channel_sum, 8 steps, substrate 0, predicted class"
    }
    header, table = expected.table()
    for row, values in zip(found, table, strict=True):
        other = dict(zip(header, values, strict=True))
        for name in ("class", "predicted"):
            assert row[name] == str(other[name])
        assert row["class_name"] == LABELS[int(row["class"])] == other["class_name"]
        assert row["class"] == row["predicted"]
        for name in ("probability", "score"):
            assert float(row[name]) == pytest.approx(other[name], rel=1e-4)


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line(
    tiny_zoo, labelled, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(1)
        if len(calls) > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    small = (*SMALL, "--images-per-part", "2")
    assert run(labelled, out, *small) == 2
    errors = [x for x in capsys.readouterr().err.splitlines() if "error" in x]
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert not list(out.rglob("*.partial"))
    monkeypatch.undo()
    kept = len(list((out / "parts").iterdir()))
    assert 0 < kept < 9
    monkeypatch.setattr(
        ja.models, "load", lambda *a, **k: tiny_classifier.tiny_classifier(4)
    )
    assert run(labelled, out, *SMALL) == 0
    assert len(rows(out / "images.csv")) == 2 * 2 * 5


BAD = [
    (["--method", "fampee"], "method: unknown 'fampee'; did you mean fampe"),
    (["--metric", "insertoin"], "metric: unknown 'insertoin'; did you mean insertion"),
    (["--model", "enormous"], "model: unknown 'enormous'"),
    (["--labels", "nowhere.csv"], "nowhere.csv: no such file"),
    (["--order", "row"], "argument --order: invalid choice"),
    (["--curve-steps", "0"], "--curve-steps: expected a whole number of at least 1"),
    (["--method", "expected_gradients"], "expected_gradients: needs references"),
    (
        [
            *("--method", "attexplore_pp"),
            *("--option", "attexplore_pp.attack=gro"),
        ],
        "attexplore_pp: attack: unknown 'gro'; did you mean gra",
    ),
    (
        ["--method", "fampe", "--option", "fampe.alpha=2"],
        "fampe: alpha: expected a number between 0 and 1",
    ),
    (
        ["--method", "fampe", "--option", "fampe.cutoff=-1"],
        "fampe: cutoff: expected a number of at least 0",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_told_in_one_line(
    tiny_zoo, labelled, tmp_path, capsys, arguments, message
):
    try:
        code = run(labelled, tmp_path / "out", *arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxattr: error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_told_in_one_line(tiny_zoo, labelled, tmp_path, capsys):
    def message(path):
        assert run(path, tmp_path / "out") == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    (tmp_path / "empty").mkdir()
    assert "no image file in this folder" in message(tmp_path / "empty")
    assert "expected a folder of photographs" in message(tmp_path / "nowhere")
    (labelled / "labels.csv").write_text("file,class\n0.png,1\nz.png,1\n")
    assert "line 3: " in message(labelled)
    (labelled / "labels.csv").write_text("file,class\n0.png,4\n")
    assert "0.png: label: expected 0 to 3, got 4" in message(labelled)
    (labelled / "labels.csv").unlink()
    assert "labels are missing" in message(labelled)
    (labelled / "labels.csv").write_text("file,class\n0.png,1\n")
    (labelled / "0.png").write_bytes(b"")
    assert "no photograph can be read; the first: " in message(labelled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "either images and labels, or a folder"),
        ({"labels": None}, "labels: expected integers"),
        ({"labels": np.array([0, 3])}, "labels: expected classes of flat, 0 to 2"),
        (
            {"images": "somewhere"},
            r"models\['flat'\]: expected a model with preprocess",
        ),
        ({"methods": []}, "methods: expected at least one"),
        ({"methods": ["saliency", "saliency"]}, "saliency is asked for twice"),
        ({"methods": {"x": 3}}, r"methods\['x'\]: expected a name, options or"),
        ({"metrics": []}, "metrics: expected at least one"),
        ({"metrics": [Curve(), "insertion"]}, "is asked for twice"),
        ({"metrics": [Curve("insert")]}, "metric: unknown 'insert'"),
        ({"models": {}}, "models: expected at least one"),
        ({"models": {"x": 3}}, r"models\['x'\]: expected a callable"),
        ({"batch_size": 0}, "batch_size: expected"),
        ({"explained": "both"}, "explained: unknown 'both'"),
    ],
)
def test_misuse(change, message):
    def flat(images):
        return images.mean((1, 2))

    given = {
        "models": flat,
        "methods": "saliency",
        "metrics": METRICS,
        "images": np.full((2, 4, 4, 3), 0.5, np.float32),
        "labels": np.arange(2),
        "key": KEY,
    }
    with pytest.raises(ValueError, match=message):
        evaluate(**given | change)


@pytest.mark.slow
def test_settings_are_for_readers(tiny_zoo, labelled, tmp_path):
    out = tmp_path / "out"
    run(labelled, out, "--method", "fampe", "--option", "fampe.cutoff=3",
        "--option", "fampe.num_steps=1", "--option", "fampe.num_samples=1",
        "--curve-steps", "2", "--max-images", "1")  # fmt: skip
    fampe = json.loads((out / "settings.json").read_text())["methods"]["fampe"]
    assert fampe["explainer"] == "jaxattr.attributions.fampe.fampe"
    assert (fampe["options"]["cutoff"], fampe["options"]["norm"]) == (3.0, "l2")


@pytest.mark.slow
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
    scored = rows(out / "images.csv")
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
