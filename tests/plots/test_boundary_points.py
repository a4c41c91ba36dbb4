"""What the axes of the figures of boundaries hold."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxattr import plots


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
    assert [ax.get_title() for ax in axes] == [
        "Photograph",
        "No boundary found",
        "Difference",
    ]
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
        list(line.get_ydata()) for line in ax.lines if line.get_marker() in "os^D"
    ]
    assert heights == [[1.0, 2.0], [0.5, 0.1]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["IG", "BIG"]
    assert ax.get_legend() is not None
    ax = plots.score_groups(means, intervals, Figure().subplots(), legend=False)
    assert ax.get_legend() is None
