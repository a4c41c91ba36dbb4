"""Figures of insertion and deletion curves: arrays and an ``Axes`` in, the ``Axes`` out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.plots._style import (
    GREY,
    axes_or_new,
    frame,
    legend_below,
    legend_height,
    line_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Band(NamedTuple):
    """The mean of curves, and 95 % of where it may lie; ``(T + 1,)`` each."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curves(
    values: Mapping[str, ArrayLike | Band],
    ax: Axes | None = None,
    *,
    title: str | None = None,
    ylabel: str | None = "probability of the class",
    xlabel: str | None = None,
    better: str = "",
) -> Axes:
    """Draws insertion or deletion curves, the area under each in a legend below.

    Args:
      values: name of a method to its curve ``(T + 1,)``, or to curves ``(N, T + 1)``,
        whose mean is drawn, with a band where that mean may lie (95 %), or to that
        ``Band``.
      ax: where to draw; by default a new figure.
      title: what stands above.
      ylabel: what stands at the left, None for nothing.
      xlabel: what stands below.
      better: ``higher`` or ``lower``, said with the areas.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: curves of another rank or of fewer than two points.
    """
    ax = axes_or_new(ax, figsize=curves_size(len(values)))
    for i, (name, given) in enumerate(values.items()):
        band = given if isinstance(given, Band) else None
        curve = np.asarray(given if band is None else band.mean, float)
        if curve.ndim not in (1, 2) or curve.shape[-1] < 2:
            raise fail(f"values[{name!r}]", "a curve (T + 1,) or (N, T + 1)", curve)
        share, style = np.linspace(0, 1, curve.shape[-1]), line_style(i)
        if curve.ndim == 2:
            band = mean_and_band(curve)
            curve = band.mean
        if band is not None:
            ax.fill_between(
                share,
                band.low,
                band.high,
                color=style["color"],
                alpha=0.12,
                linewidth=0,
            )
        area = np.sum(curve[1:] + curve[:-1]) / 2 / (curve.size - 1)
        ax.plot(
            share,
            curve,
            **style,
            linewidth=1.6,
            label=f"{area:.3f}  {name}",
        )
    ax.set_xlim(0, 1)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    frame(ax)
    if ylabel is not None:
        ax.set_ylabel(ylabel, fontsize=9, color=GREY)
    if xlabel is not None:
        ax.set_xlabel(xlabel, fontsize=9, color=GREY)
    if title is not None:
        ax.set_title(title, fontsize=10)
    if values:
        what = "area under the curve"
        legend_below(ax, title=f"{what}, {better} is better" if better else what)
    return ax


def curves_size(num_curves: int) -> tuple[float, float]:
    """Width and height in inches that suit ``curves``."""
    return 3.8, 3.35 + legend_height(num_curves)


def mean_and_band(values: np.ndarray) -> Band:
    """The mean of scores in [0, 1] over the first axis, and 95 % of where it may lie."""
    return band_of(len(values), values.mean(axis=0), values.std(axis=0))


def band_of(count: int, mean: np.ndarray, deviation: np.ndarray) -> Band:
    """The same by number, mean and standard deviation of the scores."""
    error = 1.96 * deviation / max(1, count - 1) ** 0.5
    return Band(mean, np.clip(mean - error, 0, 1), np.clip(mean + error, 0, 1))
