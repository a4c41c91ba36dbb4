"""What all figures share: axes given or new, no global state, the extra."""

import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from jaxattr import plots


def test_global_state_is_left_alone(ax, attribution):
    style, open_figures = dict(mpl.rcParams), plt.get_fignums()
    plots.attribution_map(attribution, ax)
    plots.curves({"A": [0.0, 1.0]}, ax)
    plots.explanation_grid(attribution[None], {"A": attribution[None]}, figure=Figure())
    assert dict(mpl.rcParams) == style
    assert plt.get_fignums() == open_figures


def test_without_axes_a_new_figure_is_made(attribution):
    try:
        for draw in (
            lambda: plots.attribution_map(attribution),
            lambda: plots.curves({"A": [0.0, 1.0]}),
            lambda: plots.explanation_grid(attribution[None], {})[0, 0],
        ):
            before = plt.get_fignums()
            assert draw().figure.number not in before
    finally:
        plt.close("all")


def test_without_matplotlib_the_extra_is_named(monkeypatch, attribution):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"jaxattr\[app\]"):
        plots.attribution_map(attribution)
