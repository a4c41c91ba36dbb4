"""Figures: arrays and an optional ``Axes`` in, the ``Axes`` out.

No global style is touched. Without ``ax`` a new figure is made with ``pyplot``. Colours and
frames are the same for all of them, in ``_style``; maps become colours by the rule of
``map_colors``, which reports follow too.
"""

from jaxattr.plots._style import check_colors
from jaxattr.plots.boundary_points import boundary_row, score_groups
from jaxattr.plots.curves import Band, band_of, curves, curves_size, mean_and_band
from jaxattr.plots.faithfulness import score_bars
from jaxattr.plots.map_colors import color_limit
from jaxattr.plots.maps import attribution_map, explanation_grid, grid_size
from jaxattr.plots.robustness import agreement_curve, agreement_panels, panels_size
from jaxattr.plots.spectral import (
    band_importance,
    importance_spread,
    interaction_map,
    score_against,
)

__all__ = [
    "Band",
    "agreement_curve",
    "agreement_panels",
    "attribution_map",
    "band_importance",
    "band_of",
    "boundary_row",
    "check_colors",
    "color_limit",
    "curves",
    "curves_size",
    "explanation_grid",
    "grid_size",
    "importance_spread",
    "interaction_map",
    "mean_and_band",
    "panels_size",
    "score_against",
    "score_bars",
    "score_groups",
]
