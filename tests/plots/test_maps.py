"""What the axes of maps hold, not how they look: limits, colours, texts."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxattr import plots


def test_map_is_the_channel_sum_with_symmetric_limits(ax, attribution):
    assert plots.attribution_map(attribution, ax) is ax
    (shown,) = ax.images
    assert shown.get_clim() == (-1, 1)
    summed = attribution.sum(-1)
    limit = np.percentile(np.abs(summed), 99.5)
    np.testing.assert_allclose(shown.get_array(), np.clip(summed / limit, -1, 1))
    assert ax.get_xlabel() == f"±{limit:.2g}"


def test_zero_is_white_and_the_sign_is_the_colour(ax):
    values = np.array([[-2.0, 0.0, 2.0]])
    plots.attribution_map(values, ax, percentile=100)
    (shown,) = ax.images
    against, zero, towards = shown.to_rgba(shown.get_array())[0, :, :3]
    assert against[2] > against[0] + 0.2  # blue
    assert towards[0] > towards[2] + 0.2  # red
    assert zero.min() > 0.95
    np.testing.assert_allclose(zero, zero[0], atol=0.01)


def test_shown_values_keep_their_ratio(ax):
    """No squashing to the range: twice the attribution is twice the height."""
    plots.attribution_map(np.array([[1.0, 2.0, 4.0]]), ax, percentile=100)
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.25, 0.5, 1.0]])


@pytest.mark.parametrize(
    ("values", "percentile", "limit"),
    [
        (np.zeros((2, 2)), 99, 1.0),
        (np.array([[1.0, -3.0]]), 100, 3.0),
        (np.array([[np.nan, -3.0, np.inf]]), 100, 3.0),
        (np.array([[5.0] + [0.0] * 999]), 50, 5.0),
        (np.array([[np.nan]]), 99, 1.0),
    ],
)
def test_color_limit(values, percentile, limit):
    assert plots.color_limit(values, percentile) == limit


def test_overlay_shows_the_photograph_where_the_map_is_zero(ax):
    values = np.array([[0.0, 0.0, -1.0, 1.0]])
    image = np.array([[0.0, 1.0, 0.5, 0.5]])
    plots.attribution_map(values, ax, image=image, percentile=100)
    dark, light, against, towards = np.asarray(ax.images[0].get_array())[0]
    assert dark[0] < light[0]
    np.testing.assert_allclose(dark, dark[0])
    assert against[2] > against[0] + 0.2
    assert towards[0] > towards[2] + 0.2


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4, 1), (0, 3)])
def test_map_of_another_rank(ax, shape):
    with pytest.raises(ValueError, match=r"attribution: expected .*\(H, W, C\)"):
        plots.attribution_map(np.zeros(shape), ax)


def test_overlay_of_another_size(ax):
    with pytest.raises(ValueError, match="image: expected"):
        plots.attribution_map(np.zeros((4, 4)), ax, image=np.zeros((5, 4, 3)))


def test_percentile_outside(ax):
    with pytest.raises(ValueError, match="percentile"):
        plots.attribution_map(np.ones((4, 4)), ax, percentile=101)


def test_grid(attribution):
    images = np.random.default_rng(1).uniform(size=(2, 8, 10, 3))
    maps = {"A": np.stack([attribution] * 2), "B": np.stack([attribution * 3] * 2)}
    figure = Figure(layout="constrained")
    axes = plots.explanation_grid(
        images, maps, captions=["one, 40.0%", "two"], figure=figure
    )
    assert axes.shape == (2, 3)
    assert axes[0, 0].get_xlabel() == "one, 40.0%"
    assert [ax.get_title() for ax in axes[0]] == ["", "A", "B"]
    assert [ax.get_title() for ax in axes[1]] == ["", "", ""]
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), images[1])
    one, three = (float(ax.get_xlabel()[1:]) for ax in axes[0, 1:])
    assert three == pytest.approx(3 * one, rel=0.1)
    figure.canvas.draw()


def test_grid_refuses_what_does_not_fit(attribution):
    images = np.zeros((2, 8, 10, 3))
    with pytest.raises(ValueError, match=r"maps\['A'\]"):
        plots.explanation_grid(images, {"A": attribution[None]}, figure=Figure())
    with pytest.raises(ValueError, match="captions"):
        plots.explanation_grid(images, {}, captions=["one"], figure=Figure())
    with pytest.raises(ValueError, match="images"):
        plots.explanation_grid(images[0], {}, figure=Figure())
