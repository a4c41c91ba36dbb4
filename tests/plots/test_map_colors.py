"""One rule of colour, for figures and reports alike."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from jaxattr.evaluation.runs import pictures
from jaxattr.plots import _style, map_colors

VALUES = np.linspace(-1.5, 1.5, 64 * 64).reshape(64, 64)


def test_tints_are_the_colours_of_figures():
    shown = map_colors.scaled(VALUES, 1.0)
    expected = _style.colormap()((shown + 1) / 2)[..., :3]
    np.testing.assert_allclose(map_colors.tints(shown), expected, atol=1 / 128)


def test_a_report_shows_what_a_figure_shows():
    """Over white, and to what compressing loses."""
    uri, limit = pictures.overlay(VALUES, 64)
    picture = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    white = Image.new("RGBA", picture.size, "white")
    got = np.asarray(Image.alpha_composite(white, picture.convert("RGBA")))[..., :3]
    shown = map_colors.scaled(VALUES, limit)
    opacity = map_colors.opacity(shown)[..., None]
    expected = 1 - opacity + opacity * map_colors.tints(shown)
    assert np.abs(got / 255 - expected).mean() < 0.01
    assert limit == map_colors.color_limit(VALUES)


def test_what_is_no_number_stays_one_and_channels_are_summed():
    maps = np.array([[[1.0, 2.0], [np.nan, 0.0]]])
    np.testing.assert_array_equal(map_colors.scaled(maps, 6.0), [[0.5, np.nan]])
    with pytest.raises(ValueError, match="attribution: expected an array"):
        map_colors.channel_sum(np.zeros(3))
