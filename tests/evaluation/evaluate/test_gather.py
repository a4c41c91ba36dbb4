"""Rows to scores: the same sums whoever made the files, and no curve is held."""

import tracemalloc

import numpy as np
import pytest

from jaxattr import plots
from jaxattr.evaluation.evaluate.gather import MAPS, PREDICTIONS, Tables, gather
from jaxattr.evaluation.runs.rows import RowFiles

STEPS = 224


def numbers(count):
    rng = np.random.default_rng(0)
    return {
        "score": rng.random(count, np.float32),
        "curve": rng.random((count, STEPS + 1), np.float32),
    }


def tables(folder, count, cuts, lacking=()):
    """Of two methods; ``cuts`` are where one file ends and the next begins."""
    folder.mkdir()
    files = RowFiles(folder)
    values = numbers(count)
    predictions = files.table("predictions", {})
    methods = {name: files.table(name, {"method": name}) for name in "ab"}
    for index in np.split(np.arange(count), cuts):
        ids = np.array([str(i) for i in index], "S16")
        zeros = np.zeros(len(index), int)
        fields = ("explained", "predicted", "probability")
        predictions.add(index, ids, {f"{PREDICTIONS}.{f}": zeros for f in fields})
        for name, rows in methods.items():
            some = ~np.isin(index, lacking if name == "b" else ())
            part = {f"c.{f}": v[index][some] for f, v in values.items()}
            flags = {f"{MAPS}.finite": zeros[some], f"{MAPS}.seconds": zeros[some]}
            rows.add(index[some], ids[some], {**part, **flags})
    return Tables("m", predictions, methods, ["c"])


def test_scores_and_bands_are_those_of_the_arrays(tmp_path):
    lacking = [3, 299]
    found = gather(tables(tmp_path / "a", 600, [7, 300], lacking), np.arange(600))
    assert list(found.lacking) == ["b"]
    np.testing.assert_array_equal(found.lacking["b"], lacking)
    values, kept = numbers(600), np.delete(np.arange(600), lacking)
    band = plots.mean_and_band(values["curve"][kept].astype(np.float16).astype(float))
    for scores in found.results:
        np.testing.assert_array_equal(scores.index, kept)
        np.testing.assert_array_equal(
            scores.measured[0]["score"], values["score"][kept]
        )
        assert "curve" not in scores.measured[0]
        for one, other in zip(scores.bands[0], band, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)
    # To the bit, whatever files the rows are in.
    other = gather(
        tables(tmp_path / "b", 600, [100, 256, 400], lacking), np.arange(600)
    )
    for one, two in zip(found.results, other.results, strict=True):
        for a, b in zip(one.bands[0], two.bands[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_memory_holds_scores_but_no_curves(tmp_path):
    def peak(count):
        given = tables(tmp_path / str(count), count, range(256, count, 256))
        tracemalloc.start()
        try:
            gather(given, np.arange(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    first, more = peak(512), peak(2048)
    assert more - first < 1536 * 150, "bytes an image; curves of two methods are 900"


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_is_scored_yet(tmp_path, count):
    found = gather(tables(tmp_path / "a", 5, [], range(5)), np.arange(count))
    assert found.results == ()
