"""What the axes of curves hold."""

import re

import numpy as np
import pytest

from jaxattr import plots


def test_curves_have_their_area_in_the_legend(ax):
    plots.curves({"A": [0.0, 0.5, 1.0], "B": [[1.0, 0.0], [0.0, 0.0]]}, ax)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [re.findall(r"[\d.]+", text) for text in texts] == [["0.500"], ["0.250"]]
    assert all(name in text for name, text in zip("AB", texts))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.5, 0.0])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0, 0.5, 1])


def test_mean_curves_have_a_band(ax):
    values = np.random.default_rng(0).uniform(size=(50, 4))
    plots.curves({"A": values, "B": values[0]}, ax)
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    for place, column in zip(np.linspace(0, 1, 4), values.T):
        low, high = (f(corners[corners[:, 0] == place, 1]) for f in (min, max))
        error = 1.96 * column.std() / 49**0.5
        assert (low, high) == pytest.approx(
            (column.mean() - error, column.mean() + error)
        )


def test_lines_of_many_curves_differ(ax):
    plots.curves({str(i): [0.0, 1.0] for i in range(15)}, ax)
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert len(looks) == 15


def test_curve_of_one_point(ax):
    with pytest.raises(ValueError, match=r"values\['A'\]"):
        plots.curves({"A": [1.0]}, ax)
