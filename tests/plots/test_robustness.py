"""What the axes of agreement under attack hold."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxattr import plots


def test_budgets_stand_where_their_numbers_are(ax):
    budgets = np.array([0.25, 0.5, 1, 2, 4, 8])
    scores = np.full((6, 3), 0.5)
    plots.agreement_curve(budgets / 255, {"top-k": scores}, ax, chance={"noise": 0.1})
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0, *budgets])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1, *scores[:, 0]])
    # Numbers that would write on one another are left out.
    np.testing.assert_allclose(ax.get_xticks(), [0, 1, 2, 4, 8])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "top-k",
        "chance: noise",
    ]


def test_panels_share_one_legend():
    figure = Figure(layout="constrained")
    scores = {"A": {"top-k": np.ones((2, 3))}, "B": {"top-k": np.zeros((2, 3))}}
    axes = plots.agreement_panels([0.1, 0.2], scores, figure=figure, title="k = 5")
    assert [ax.get_title() for ax in axes] == ["A", "B"]
    assert [ax.get_legend() for ax in axes] == [None, None]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["top-k"]


def test_scores_of_another_shape(ax):
    with pytest.raises(ValueError, match=r"scores\['A'\]"):
        plots.agreement_curve([0.1, 0.2], {"A": np.ones(2)}, ax)
