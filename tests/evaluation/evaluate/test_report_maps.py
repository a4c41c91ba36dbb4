"""Maps of the best and the worst photographs, which a report shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxattr as ja
from jaxattr.evaluation import Curve, evaluate
from jaxattr.evaluation.evaluate import report_maps
from jaxattr.evaluation.evaluate.results import Evaluation, MethodScores
from jaxattr.evaluation.runs import pictures, programs
from jaxattr.report import write_report

KEY = jax.random.key(3)
IMAGES = jax.random.uniform(jax.random.key(0), (7, 4, 4, 3))
LABELS = jnp.arange(7) % 3


def logits_fn(images):
    return (20 * images**3).mean(axis=(1, 2))


def run(out, **options):
    return evaluate(
        {"a model": logits_fn},
        {"saliency": {}, "noisy": ("smoothgrad", {"num_samples": 2})},
        [Curve("insertion", num_steps=4)],
        IMAGES,
        LABELS,
        key=KEY,
        out=out,
        batch_size=2,
        **options,
    )


@pytest.mark.slow
def test_maps_of_both_ends_are_those_that_were_scored(tmp_path, monkeypatch):
    found = run(tmp_path, report_maps=1)
    inside = report_maps.report_folders(tmp_path, ["a model"])["a model"]
    kept, unread = report_maps.load_report_maps(inside, ["saliency", "noisy", "agi"])
    assert unread == []
    scores = [found.scores("a model", method) for method in ("saliency", "noisy")]
    expected = {f(s) for s in scores for f in (np.argmin, np.argmax)}
    assert set(kept) == {str(i) for i in expected}
    for i in expected:
        one = kept[str(i)]
        np.testing.assert_array_equal(
            one.photograph, pictures.small_photograph(np.asarray(IMAGES[i]), 160)
        )
        # Alone with its own key it has the map that it has in the run.
        given = (logits_fn, IMAGES[i : i + 1], LABELS[i : i + 1])
        key = jax.random.fold_in(KEY, i)[None]
        for method, values in (
            ("saliency", ja.saliency(*given)),
            ("noisy", ja.smoothgrad(*given, key=key, num_samples=2)),
        ):
            small, limit = pictures.small_map(np.asarray(values[0]), 160)
            shown, shown_limit = one.maps[method]
            assert np.abs(shown - small.astype(int)).max() <= 1
            assert shown_limit == pytest.approx(limit, rel=1e-5)

    # Called again nothing is explained; with more at each end they are.
    before = {p: p.read_bytes() for p in tmp_path.glob("report_maps/*/*")}
    assert len(before) == 3

    def never(*args, **options):
        raise AssertionError("explained again")

    monkeypatch.setattr(programs, "attributions", never)
    run(tmp_path, report_maps=1)
    assert before == {p: p.read_bytes() for p in tmp_path.glob("report_maps/*/*")}
    with pytest.raises(AssertionError, match="explained again"):
        run(tmp_path, report_maps=2)


@pytest.mark.slow
def test_a_report_shows_them(tmp_path):
    run(tmp_path, report_maps=1)
    inside = report_maps.report_folders(tmp_path, ["a model"])["a model"]
    kept, _ = report_maps.load_report_maps(inside, ["saliency"])
    path, missing = write_report(tmp_path)
    assert missing == ()
    assert path.read_text().count("data:image/") == 3 * len(kept)
    assert f"the {len(kept)} at both ends have maps" in path.read_text()
    # What is damaged is named, and the rest is shown.
    (tmp_path / "report_maps" / "a-model" / "maps.noisy.npz").write_bytes(b"PK")
    path, (damaged,) = write_report(tmp_path)
    assert "maps.noisy.npz: not maps of a report" in damaged
    assert path.read_text().count("data:image/") == 2 * len(kept)


def test_none_are_kept_unless_they_are_asked_for(tmp_path):
    run(tmp_path)
    assert not (tmp_path / "report_maps").exists()
    with pytest.raises(ValueError, match="report_maps: expected an integer of at leas"):
        run(tmp_path, report_maps=-1)


def scored(*columns):
    """Methods with scores by metrics, higher is better, lower is better, unknown."""
    metrics = [Curve("insertion"), Curve("deletion"), ja.evaluation.Metric("m", len)]
    results = [
        MethodScores(
            *("m", str(i), *[np.zeros(0)] * 5, 1.0),
            tuple({"score": np.asarray(s, float)} for s in of_method),
            (),
        )
        for i, of_method in enumerate(columns)
    ]
    return Evaluation((), tuple(metrics), tuple(results))


def test_the_ends_take_turns(monkeypatch):
    line = np.arange(50)
    evaluation = scored([line, line[::-1], line % 7], [line, line, line % 3])
    assert report_maps.ends(evaluation, "m", 2) == [0, 1, 48, 49]
    assert report_maps.ends(evaluation, "other", 2) == []
    monkeypatch.setattr(report_maps, "MOST", 3)
    assert report_maps.ends(evaluation, "m", 2) == [0, 1, 49]
    # What has no score has no place; few images are taken once each.
    gaps = [np.nan, 2, 1, np.inf]
    assert report_maps.ends(scored([gaps, gaps, gaps]), "m", 9) == [1, 2]
