"""``jaxattr robustness`` on a tiny classifier: files, chance, resuming, bad input."""

import functools

import jax
import numpy as np
import pytest
import tiny_classifier
from PIL import Image
from quick import quick
from small_photographs import rows

import jaxattr as ja
from jaxattr import cli
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.robustness import robustness
from jaxattr.evaluation.runs import unfinished

RANDOM = (
    "--epsilon", "4,16", "--steps", "3", "--k", "9", "--window", "1",
    "--batch-size", "2", "--attack", "random_sign",
)  # fmt: skip
SMALL = (*RANDOM, "--attack", "lens")


@pytest.fixture
def tiny(monkeypatch):
    asked = []

    def load(name, weights=None, **options):
        asked.append(options)
        return tiny_classifier.tiny_classifier()

    monkeypatch.setattr(ja.models, "load", load)
    return asked


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photographs"
    path.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


def run(*arguments, out):
    return cli.main(["robustness", *map(str, arguments), "--out", str(out)])


@pytest.mark.parametrize("attacks", quick([RANDOM, SMALL], RANDOM), ids=["one", "two"])
def test_tables_figure_and_resuming(
    tiny, folder, tmp_path, capsys, monkeypatch, attacks
):
    count = attacks.count("--attack")
    out = tmp_path / "out"
    assert run(folder, *attacks, out=out) == 0
    assert {p.name for p in out.iterdir()} == {
        "parts", "manifest", "settings.json", "run.json", "images.csv", "summary.csv",
        "saliency.png",
    }  # fmt: skip
    captured = capsys.readouterr()
    assert "1-LENS-div" in captured.out
    assert "[3/3" in captured.err
    # The twin has softplus in place of ReLU; the original none.
    assert [o.get("activation") for o in tiny] == [
        None,
        ja.models.SmoothRelu(10.0, 6.0),
    ]

    images = rows(out / "images.csv")
    assert len(images) == count * 2 * 3
    summary = rows(out / "summary.csv")
    assert [r["epsilon"] for r in summary] == ["4/255", "16/255"] * count
    for row in summary:
        of = [
            r
            for r in images
            if (r["attack"], r["epsilon"]) == (row["attack"], row["epsilon"])
        ]
        for name in ("top_k", "lens_recall", "kendall"):
            mean = np.mean([float(r[name]) for r in of])
            assert float(row[name]) == pytest.approx(mean, abs=1e-5)
        chance = float(row["lens_recall_chance_random"])
        assert 0.15 < chance < 0.5
        assert {"lens_recall_chance_shift", "top_k_chance_photographs"} <= set(row)

    # Started again, nothing is computed: the program that attacks is not called.
    def never(*args, **kwargs):
        raise AssertionError("computed again")

    before = (out / "images.csv").read_bytes()
    monkeypatch.setattr(robustness, "scored", never)
    monkeypatch.setattr(robustness, "map_sizes", never)
    assert run(folder, *attacks, out=out) == 0
    assert (out / "images.csv").read_bytes() == before
    # With another budget, what is missing is.
    with pytest.raises(AssertionError, match="computed again"):
        run(folder, *attacks, "--epsilon", "4,8", out=out)


@pytest.mark.slow
def test_an_attack_on_lrp_and_its_lens_curve(tiny, folder, tmp_path, capsys):
    """Relevance can be differentiated: followed, it moves further than at random."""
    out = tmp_path / "out"
    chosen = ("--method", "lrp", "--option", "lrp.composite=epsilon")
    assert run(folder, *SMALL, *chosen, "--quiet", out=out) == 0
    assert (out / "lrp.png").stat().st_size > 1000
    recall = {
        (row["attack"], row["epsilon"]): float(row["lens_recall"])
        for row in rows(out / "summary.csv")
    }
    assert len(recall) == 4
    assert all(0 <= value <= 1 for value in recall.values())
    for epsilon in ("4/255", "16/255"):
        assert recall["lens", epsilon] <= recall["random_sign", epsilon]
    assert recall["lens", "16/255"] < recall["random_sign", "16/255"]
    assert recall["lens", "16/255"] < recall["lens", "4/255"]


@pytest.mark.slow
def test_a_killed_run_goes_on(tiny, folder, tmp_path, monkeypatch, capsys):
    out, calls = tmp_path / "out", []
    attacked = robustness.scored

    def counting(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return attacked(*args, **kwargs)

    monkeypatch.setattr(robustness, "scored", counting)
    monkeypatch.setattr(unfinished, "FIRST_AFTER", 0)
    monkeypatch.setattr(unfinished, "PAUSE", 0)
    assert run(folder, *SMALL, "--images-per-part", "2", out=out) == 130
    # Two of three images are done, and there is a report of them.
    assert len(rows(out / "images.unfinished.csv")) == 2 * 2 * 2
    assert not (out / "summary.csv").exists()
    capsys.readouterr()
    assert cli.main(["report", str(out)]) == 1
    assert "Saliency: 2 of 3 photographs are attacked." in capsys.readouterr().err
    (out / "report.html").unlink()
    assert run(folder, *SMALL, out=out) == 0
    assert not (out / "images.unfinished.csv").exists()
    # Two batches, the one that was interrupted counted twice.
    assert len(calls) == 3
    whole = tmp_path / "whole"
    assert run(folder, *SMALL, out=whole) == 0
    assert (whole / "images.csv").read_bytes() == (out / "images.csv").read_bytes()
    # So do shares that are merged.
    shares = tmp_path / "shares"
    for shard in ("0/2", "1/2"):
        assert run(folder, *SMALL, "--shard", shard, out=shares) == 0
        assert cli.main(["merge", str(shares)]) == (shard == "0/2")
    for name in ("images.csv", "summary.csv"):
        assert (whole / name).read_bytes() == (shares / name).read_bytes()


@pytest.mark.slow
def test_scores_on_several_devices_are_those_of_one(monkeypatch):
    top_k = functools.partial(ja.metrics.top_k_intersection, k=9)
    quick = {"top_k": top_k, "spearman": ja.metrics.spearman}
    monkeypatch.setattr(robustness, "measures", lambda k, window: quick)
    model = tiny_classifier.tiny_classifier()
    images = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    settings = robustness.Settings(
        attacks=("random_sign",), epsilons=(0.05,), k=9, num_steps=2, images_per_batch=3
    )
    methods = {"saliency": (registry.method("saliency"), {})}
    found = []
    for mesh in (None, jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])):
        (result,) = robustness.measure(
            *(model, model, images, ("a", "b", "c"), methods, settings),
            mesh=mesh,
        )
        found.append(result)
    np.testing.assert_allclose(found[1].maps, found[0].maps, rtol=1e-5)
    for alone, spread in zip(*(tuple(f.scores.values()) for f in found), strict=True):
        for name, values in alone.items():
            assert values.shape == (3,)
            np.testing.assert_allclose(spread[name], values, rtol=1e-5)


@pytest.mark.slow
def test_warnings(tiny, folder, tmp_path, capsys):
    run(folder, *SMALL, "--beta", "0", "--max-images", "1", out=tmp_path / "a")
    assert "curvature of a ReLU network is zero" in capsys.readouterr().err
    assert all("activation" not in options for options in tiny)


def test_a_nan_map_is_refused_by_name():
    images = np.full((2, 16, 16, 3), 0.5, np.float32)
    images[1, 0, 0, 0] = np.nan
    from jaxattr.evaluation.methods import registry

    classifier = tiny_classifier.tiny_classifier()
    settings = robustness.Settings(k=9, window=1, attacks=("random_sign",))
    with pytest.raises(
        ValueError, match="second: expected a map of saliency without NaN"
    ):
        robustness.measure(
            classifier,
            classifier,
            images,
            ["first", "second"],
            {"saliency": (registry.method("saliency"), {})},
            settings,
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--attack", "fgsm"), "--attack: unknown 'fgsm'"),
        (("--epsilon", "1,x"), "--epsilon: expected numbers above 0"),
        (("--epsilon", "0"), "--epsilon: expected numbers above 0"),
        (("--k", "300"), "k: expected at most the 256 pixels of a map, got 300"),
        (
            ("--k", "30"),
            "k: expected at most 16, all that fit 3 apart in maps of 16x16",
        ),
        (("--beta", "-1"), "--beta: expected a number from 0"),
        (("--method", "saliencyy"), "method: unknown 'saliencyy'"),
        (("--method", "expected_gradients"), "needs references"),
    ],
)
def test_bad_input(tiny, folder, tmp_path, capsys, arguments, message):
    assert run(folder, *arguments, out=tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_no_photographs(tiny, tmp_path, capsys):
    assert run(tmp_path, out=tmp_path / "out") == 2
    assert "no image file in this folder" in capsys.readouterr().err
