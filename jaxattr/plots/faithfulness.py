"""Figures of scores of methods: arrays and an ``Axes`` in, the ``Axes`` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.plots._style import GREY, LINES, axes_or_new, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def score_bars(
    names: Sequence[str],
    means: ArrayLike,
    intervals: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    xlabel: str | None = None,
    numbers: bool = True,
) -> Axes:
    """Draws a bar a method, the first at the top, its number beside it.

    Args:
      names: of the methods.
      means: ``(M,)``.
      intervals: ``(M, 2)``, where each mean may lie; None for no whiskers.
      ax: where to draw; by default a new figure.
      title: what stands above.
      xlabel: what stands below.
      numbers: write the means beside the bars, which takes a fifth of the width.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: lengths that differ.
    """
    means = np.asarray(means, float)
    if means.shape != (len(names),):
        raise fail("means", f"{len(names)} numbers, one a name", means)
    ends = np.stack([means, means], 1)
    if intervals is not None:
        ends = np.asarray(intervals, float)
        if ends.shape != (len(names), 2):
            raise fail("intervals", f"an array ({len(names)}, 2)", ends)
    ax = axes_or_new(ax, figsize=(4.6, 0.8 + 0.28 * len(names)))
    places = np.arange(len(names))
    ax.barh(places, means, height=0.68, color=LINES[0], alpha=0.8)
    if intervals is not None:
        around = np.abs(ends.T - means)
        ax.errorbar(
            means,
            places,
            xerr=around,
            fmt="none",
            ecolor="#222222",
            elinewidth=1,
            capsize=2,
        )
    tops = np.maximum(ends[:, 1], means)
    for place, mean, end in zip(places, means, tops) if numbers else ():
        ax.annotate(
            f"{mean:.3f}",
            (max(end, 0.0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=GREY,
        )
    ax.set_yticks(places, list(names))
    ax.set_ylim(len(names) - 0.4, -0.6)
    low = min(0.0, float(np.nanmin(ends)))
    high = max(0.0, float(np.nanmax(ends)))
    room = (0.22 if numbers else 0.04) * (high - low)
    ax.set_xlim(low - 0.02 * (high - low) * (low < 0), high + room + 1e-9)
    frame(ax, grid="x")
    if title is not None:
        ax.set_title(title, fontsize=9.5)
    if xlabel is not None:
        ax.set_xlabel(xlabel, fontsize=9, color=GREY)
    return ax
