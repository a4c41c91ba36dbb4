"""What all figures share: colours, axes, frames."""

from __future__ import annotations

import textwrap
import types
from typing import TYPE_CHECKING, Any, Literal

from jaxattr._checks import check_choice
from jaxattr.plots.map_colors import DIVERGING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

GREY = "#555555"
# Okabe and Ito's, which people with any colour blindness tell apart.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def line_style(i: int) -> dict[str, Any]:
    """Colour and dashes of the i-th line: no two alike for 28 of them."""
    dashes = ("-", "--", ":", "-.")[i // len(LINES) % 4]
    return {"color": LINES[i % len(LINES)], "linestyle": dashes}


def legend_below(ax: Axes, *, columns: int = 1, title: str = "") -> None:
    """Names under the axes, where they cover nothing."""
    legend = ax.legend(
        fontsize=8,
        frameon=False,
        loc="upper left",
        # Below the numbers and the name of the axis, whatever the height of the figure.
        bbox_to_anchor=(0.0, 0.0),
        borderaxespad=4.2,
        ncols=columns,
        alignment="left",
        columnspacing=1.4,
        handlelength=2.2,
    )
    if title:
        legend.set_title(title)
        legend.get_title().set_fontsize(8)
        legend.get_title().set_color(GREY)


def legend_height(num_lines: int, *, columns: int = 1) -> float:
    """Inches that ``legend_below`` takes, its title not counted."""
    return 0.17 * -(-num_lines // columns)


def axes_or_new(ax: Axes | None, *, figsize: tuple[float, float] | None = None) -> Axes:
    """The axes that are given, or those of a new figure."""
    if ax is not None:
        return ax
    return pyplot().subplots(layout="constrained", figsize=figsize)[1]


def colormap(name: str | None = None) -> Colormap:
    """Blue against the class, white zero, red for it; or one of matplotlib by name.

    Raises:
      ValueError: a name that matplotlib does not know; the nearest are told.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    if name is not None:
        # Those that run backwards, viridis_r, are known too.
        names = [n for n in colormaps if not n.endswith("_r") or n == name]
        return colormaps[check_choice("colormap", name, names)]
    return LinearSegmentedColormap.from_list("against-for", DIVERGING)


def check_colors(name: str) -> None:
    """Raises ``ValueError`` for a colour map that matplotlib does not know."""
    colormap(name)


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


def wrapped(caption: str) -> str:
    """A caption in lines that a photograph is wide enough for.

    >>> wrapped("West Highland white terrier, 97.1%")
    'West Highland white\\nterrier, 97.1%'
    """
    return "\n".join(textwrap.fill(line, 25) for line in caption.split("\n"))


def bare(ax: Axes) -> None:
    """No ticks, a thin grey frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color("#cccccc")
        spine.set_linewidth(0.6)
