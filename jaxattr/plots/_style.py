"""What all figures share: colours, axes, frames."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# Blue, white, red of equal lightness at both ends, and lighter than matplotlib's RdBu:
# single pixels of its near-black ends could not be told apart.
DIVERGING = ("#0b4fb8", "#5b9be6", "#ffffff", "#f2805f", "#bd0f2a")
GREY = "#555555"
LINES = ("#0b5fa5", "#d1495b", "#2a9d6f", "#e39b2d", "#7b5ea7", "#4f5d75", "#a0624a")


def axes_or_new(ax: Axes | None, *, figsize: tuple[float, float] | None = None) -> Axes:
    """The axes that are given, or those of a new figure."""
    if ax is not None:
        return ax
    return pyplot().subplots(layout="constrained", figsize=figsize)[1]


def colormap() -> Colormap:
    """Blue against the class, white zero, red for it."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("against-for", DIVERGING)


def pyplot() -> types.ModuleType:
    """matplotlib's, which is an extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'jaxattr[app]'") from None
    return plt


def frame(ax: Axes, *, grid: Literal["both", "x", "y"] = "both") -> None:
    """Grey ticks, thin grid lines behind what is drawn, no frame above and at the right."""
    ax.tick_params(which="both", labelsize=8, color="#bbbbbb", labelcolor=GREY)
    ax.grid(axis=grid, color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#bbbbbb")


def bare(ax: Axes) -> None:
    """No ticks, a thin grey frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color("#cccccc")
        spine.set_linewidth(0.6)
