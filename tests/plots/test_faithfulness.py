"""What the axes of scores hold."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxattr import plots


def test_score_bars_have_their_numbers_and_intervals(ax):
    names, means = ["A", "B"], [0.5, -0.25]
    intervals = [[0.4, 0.7], [-0.3, -0.2]]
    assert plots.score_bars(names, means, intervals, ax) is ax
    assert [bar.get_width() for bar in ax.patches] == means
    assert [text.get_text() for text in ax.texts] == ["0.500", "-0.250"]
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    top, bottom = (bar.get_y() for bar in ax.patches)
    assert ax.transData.transform((0, top))[1] > ax.transData.transform((0, bottom))[1]
    whiskers = [c.get_segments() for c in ax.collections if hasattr(c, "get_segments")]
    ends = [sorted(segment[:, 0]) for segment in whiskers[0]]
    np.testing.assert_allclose(ends, intervals)
    plots.score_bars(
        names, means, intervals, other := Figure().subplots(), numbers=False
    )
    assert not other.texts
    assert other.get_xlim()[1] < ax.get_xlim()[1]
    plots.score_bars(names, [0.0, 0.0], None, ax)
    for wrong in ({"means": [1.0]}, {"intervals": [[0.0, 1.0]]}):
        given = {"means": means, "intervals": intervals} | wrong
        with pytest.raises(ValueError, match=next(iter(wrong))):
            plots.score_bars(names, ax=ax, **given)
