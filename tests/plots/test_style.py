"""What all figures share: axes given or new, no global state, the extra."""

import itertools
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from quick import quick

from jaxattr import plots
from jaxattr.plots import _style, map_colors


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


# Machado, Oliveira, Fernandes 2009, severity 1.
SIMULATED = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
          [0.0193339, 0.119192, 0.9503041]]  # fmt: skip


def as_seen(color, vision):
    """A colour as CIE L*a*b*, in which distances are those that eyes see."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIMULATED[vision]) @ linear, 0, 1)
    x, y, z = np.array(TO_XYZ) @ seen / [0.95047, 1, 1.08883]
    f = lambda t: np.cbrt(t) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116
    return np.array([116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))])


def nearest(colors, vision):
    seen = [as_seen(color, vision) for color in colors]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("vision", SIMULATED)
def test_lines_differ_for_people_with_any_colour_vision(vision):
    assert nearest(_style.LINES, vision) > 15
    # The ends of maps, and each of them from white.
    low, _, middle, _, high = map_colors.DIVERGING
    assert nearest((low, middle, high), vision) > 40


def test_the_simulation_sees_what_cannot_be_told_apart():
    assert nearest(("#d1495b", "#4f7a3a"), "none") > 40
    assert nearest(("#d1495b", "#7a7a56"), "protanopia") < 15


@pytest.mark.parametrize("count", quick([1, 4, 12], 4))
def test_legends_cover_nothing(count):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names = [f"method {i}" for i in range(count)]
    for draw in (
        lambda ax: plots.curves({name: [0.0, 0.5, 1.0] for name in names}, ax),
        lambda ax: plots.band_importance(
            {name: ([1.0, 2.0], [0.1, 0.1]) for name in [*names, "other"]}, ax
        ),
        lambda ax: plots.score_against(names, [0.5] * count, [0.5] * count, ax),
        lambda ax: plots.agreement_curve(
            [1 / 255, 2 / 255], {name: np.ones((2, 3)) for name in names}, ax
        ),
    ):
        figure = Figure(figsize=(4, 3.4 + 0.17 * count), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        ax = draw(figure.subplots())
        canvas.draw()
        legend = ax.get_legend().get_window_extent()
        assert not legend.overlaps(ax.get_window_extent())
        assert not legend.overlaps(ax.xaxis.label.get_window_extent())
        assert legend.y0 >= 0


def test_unknown_colours_name_the_nearest(ax, attribution):
    with pytest.raises(ValueError, match=r"colormap: unknown 'viridsi'; did you mean"):
        plots.attribution_map(attribution, ax, colors="viridsi")
    plots.attribution_map(attribution, ax, colors="viridis")
    assert ax.images[0].get_cmap().name == "viridis"


def test_without_matplotlib_the_extra_is_named(monkeypatch, attribution):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"jaxattr\[app\]"):
        plots.attribution_map(attribution)
