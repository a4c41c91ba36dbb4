"""Scores that cost nothing, where what is tried is who makes them and keeps them."""

import numpy as np
import pytest

from jaxattr.evaluation.evaluate import measure, outputs


@pytest.fixture
def no_figures(monkeypatch):
    """For what does not look at them: they take longer to draw than the rest."""
    for name in ("_draw_bars", "_draw_curves"):
        monkeypatch.setattr(outputs, name, lambda *_: None)


@pytest.fixture
def mock_scores(monkeypatch):
    """``measure._scores`` without a program; the list gets ``(method, batch, columns)``
    of each call. A score depends on the pixels, the label, the key and the method."""
    calls = []

    def scores(job, model, method, options, batch, metrics, explain):
        calls.append((method.name, np.asarray(batch.images), tuple(metrics)))
        images = np.asarray(batch.images, np.float64)
        size = len(images)
        base = images.mean((1, 2, 3)) + np.asarray(batch.labels) / 8
        found = {
            "maps.seconds": 0.25,
            "maps.finite": np.ones(size, bool),
            "maps.nonzero": np.ones(size, bool),
        }
        for i, column in enumerate(metrics):
            score = (base * (i + 1) + len(method.name)) % 1
            found[f"{column}.score"] = score.astype(np.float32)
            curve = np.linspace(0, 1, 9) * score[:, None]
            found[f"{column}.curve"] = curve.astype(np.float32)
            found[f"{column}.shown"] = np.full(size, 0.5, np.float32)
        return found

    monkeypatch.setattr(measure, "_scores", scores)
    return calls
