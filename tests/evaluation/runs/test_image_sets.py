"""Folders of photographs: a manifest that grows and keeps places."""

import numpy as np
import pytest
import tiny_classifier
from small_photographs import draw

from jaxattr.evaluation.runs import manifest
from jaxattr.evaluation.runs.image_sets import PhotographFolder

MODEL = {"tiny": tiny_classifier.tiny_classifier()}


def opened(folder, out, **options):
    photographs = PhotographFolder(folder, MODEL, out=out, **options)
    photographs.examine()
    out.mkdir(exist_ok=True)
    return photographs.image_set(out)


def test_two_who_prepare_at_once_agree(labelled, tmp_path):
    """The one who is second looks at what the first has written."""
    out = tmp_path / "out"
    out.mkdir()
    slow = PhotographFolder(labelled, MODEL, out=out)
    draw(labelled / "00.png", 7)
    table = labelled / "labels.csv"
    table.write_text(table.read_text() + "\n00.png,3")
    fast = PhotographFolder(labelled, MODEL, out=out)
    slow.examine()
    fast.examine()
    first = fast.image_set(out)
    second = slow.image_set(out)
    assert first.names == ("0.png", "00.png", *(f"{i}.png" for i in range(1, 5)))
    assert second.names == (first.names[0], *first.names[2:])
    np.testing.assert_array_equal(second.places, [0, 2, 3, 4, 5])
    np.testing.assert_array_equal(second.ids("tiny")[1:], first.ids("tiny")[2:])
    assert second.broken == ()
    assert len(list((out / "manifest").iterdir())) == 1


def test_mended_photographs_come_last(labelled, tmp_path):
    good = (labelled / "1.png").read_bytes()
    (labelled / "1.png").write_bytes(good[:70])
    out = tmp_path / "out"
    found = opened(labelled, out)
    assert found.names == ("0.png", "2.png", "3.png", "4.png")
    assert "1.png" in found.broken[0]
    again = opened(labelled, out)
    assert (again.names, again.broken) == (found.names, found.broken)
    (labelled / "1.png").write_bytes(good)
    mended = opened(labelled, out)
    assert mended.names == (*found.names, "1.png")
    assert mended.broken == ()
    np.testing.assert_array_equal(mended.ids("tiny")[:4], found.ids("tiny"))


def test_two_models_prepare_a_photograph_differently(labelled, tmp_path):
    class Other(tiny_classifier.TinyClassifier):
        def preprocess(self, image):
            return 1 - super().preprocess(image)

    models = {"one": MODEL["tiny"], "other": Other(MODEL["tiny"].weights)}
    found = PhotographFolder(labelled, models)
    found.examine()
    given = found.image_set(None)
    assert not set(given.ids("one")) & set(given.ids("other"))
    first = [given.pixels[name](np.array([3]))[0] for name in models]
    np.testing.assert_allclose(first[0], 1 - first[1], atol=1e-6)


def test_a_damaged_manifest_is_named(labelled, tmp_path):
    opened(labelled, tmp_path / "out")
    path = tmp_path / "out" / "manifest" / "0000.json"
    for damage in ("{", "[]", '{"file": ["a"]}'):
        path.write_text(damage)
        with pytest.raises(ValueError, match=r"0000.json: cannot be read"):
            manifest.load(tmp_path / "out")
