"""Maps that are kept, and scored later."""

import jax
import numpy as np
import pytest
import tiny_classifier
from small_photographs import rows

from jaxattr import cli
from jaxattr.evaluation.evaluate import maps, measure
from jaxattr.evaluation.evaluate.curves import Curve
from jaxattr.evaluation.evaluate.evaluate import evaluate

CURVE = Curve(num_steps=4)
JOINT = Curve("deletion", order="joint", num_steps=4)


def run(*words, method="saliency"):
    fixed = ("--model", "tiny", "--method", method, "--curve-steps", "4", "--quiet")
    return cli.main(["evaluate", *map(str, words), *fixed])


@pytest.mark.parametrize("detail", maps.DETAILS)
@pytest.mark.parametrize("unit", [1.0, 1e-20, 1e20])
def test_a_map_is_kept_to_half_precision_on_any_scale(detail, unit):
    given = np.random.default_rng(0).normal(size=(3, 4, 5, 3)).astype(np.float32) * unit
    given[1] = 0
    kept = maps.pack(given, detail)
    assert kept["kept.map"].dtype == np.float16
    assert kept["kept.map"].shape == given.shape[: 3 if detail == "pixel" else 4]
    back = maps.unpack(kept, 3)
    assert back.shape == given.shape
    if detail == "pixel":
        given, back = given.sum(-1), back.sum(-1)
    error = np.abs(back - given).max() / np.abs(given).max()
    assert 0 < error <= 2**-11


def test_what_is_not_finite_stays_so():
    given = np.ones((1, 2, 2, 1), np.float32)
    given[0, 0] = [[np.nan], [np.inf]]
    back = maps.unpack(maps.pack(given, "channel"), 1)
    np.testing.assert_array_equal(back, given)


def small(logits_fn, images, labels, *, key, batch_size):
    return jax.random.normal(jax.random.key(0), images.shape) * 1e-9


def test_kept_maps_are_scored_without_the_explainer(tmp_path, monkeypatch):
    images = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    model = tiny_classifier.tiny_classifier()
    given = (images, np.arange(3))
    asked = {"mine": small}
    options = {"key": jax.random.key(1), "batch_size": 2}
    out = tmp_path / "out"
    evaluate(model, asked, CURVE, *given, out=out, save_maps="channel", **options)
    whole = evaluate(model, asked, [CURVE, JOINT], *given, **options)

    def never(*arguments):
        raise AssertionError("explained again")

    monkeypatch.setattr(measure, "_explained", never)
    later = evaluate(model, asked, [CURVE, JOINT], *given, from_maps=out, **options)
    for metric in range(2):
        kept, exact = (e.scores("tiny", "mine", metric) for e in (later, whole))
        np.testing.assert_allclose(kept, exact, atol=2e-3)
    for change in ({"key": jax.random.key(2)}, {"batch_size": 3}):
        with pytest.raises(ValueError, match=r"out: has no maps of these models"):
            evaluate(model, asked, CURVE, *given, from_maps=out, **options | change)


@pytest.mark.slow
def test_of_a_killed_run_maps_are_completed_and_pixels_are_enough_for_the_curves(
    tiny_zoo, labelled, tmp_path, capsys
):
    out, later = tmp_path / "out", tmp_path / "later"
    # Scores without maps, then with maps, and with more photographs.
    assert run(labelled, "--out", out, "--max-images", "2") == 0
    assert run(labelled, "--out", out, "--max-images", "3", "--save-maps", "pixel") == 0
    assert (
        "maps: 1 method, 3 images, one model: 1.5 kB in float16"
        in capsys.readouterr().err
    )
    assert run(labelled, "--out", later, "--from-maps", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no map of saliency on tiny for 3.png" in line
    assert run(labelled, "--out", later, "--from-maps", out, "--max-images", "3") == 0
    exact, kept = (
        [float(row["score"]) for row in rows(f / "images.csv")] for f in (out, later)
    )
    np.testing.assert_allclose(kept, exact, atol=2e-3)


BAD = [
    (("--save-maps", "pixel", "--from-maps", "DIR"), "save_maps: needs out, and"),
    (("--from-maps", "DIR", "--metric", "infidelity"), "only the sum was kept"),
    (
        ("--from-maps", "DIR", "--metric", "max_sensitivity"),
        "explains other images",
    ),
    (("--from-maps", "DIR", "--order", "joint"), "--save-maps channel"),
    (("--from-maps", "nowhere"), "nowhere: has no maps of these models"),
    (("--save-maps", "all"), "invalid choice: 'all'"),
]


def test_bad_input(tiny_zoo, no_figures, labelled, tmp_path, capsys):
    out = str(tmp_path / "out")
    fixed = ("--max-images", "2", "--batch-size", "2", "--report-maps", "0", "--out")
    assert run(labelled, *fixed, out, "--save-maps", "pixel") == 0
    capsys.readouterr()
    for words, message in BAD:
        typed = [out if word == "DIR" else word for word in words]
        arguments = ["evaluate", str(labelled), *fixed, str(tmp_path / "b"), *typed]
        try:
            code = cli.main(
                [*arguments, "--model", "tiny", "--method", "saliency", "--quiet"]
            )
        except SystemExit as error:
            code = error.code
        assert code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
