"""Figures of agreement under attack: arrays and ``Axes`` in, the ``Axes`` out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.plots._style import (
    GREY,
    axes_or_new,
    frame,
    legend_below,
    line_style,
    pyplot,
)
from jaxattr.plots.curves import mean_and_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def agreement_curve(
    epsilons: ArrayLike,
    scores: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    chance: Mapping[str, float] | None = None,
    title: str | None = None,
    legend: bool = True,
) -> Axes:
    """Draws how agreement falls as the budget grows, one line an attack.

    The line is the mean over images, the band 95 % of where that mean may lie. Every
    chance level is a grey line: below it, maps agree no more than unrelated ones.

    Args:
      epsilons: ``(E,)`` budgets in pixel units, drawn in 1/255; zero, where everything
        agrees, is added.
      scores: attack to ``(E, N)``.
      ax: where to draw; by default a new figure.
      chance: null to its level.
      title: what stands above.
      legend: name the attacks and the nulls below the axes.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: scores of another shape.
    """
    ax = axes_or_new(ax, figsize=(4, 3.2))
    budget = 255 * np.asarray(epsilons, float)
    place = np.concatenate([[0.0], budget])
    for i, (name, values) in enumerate(scores.items()):
        values = np.asarray(values, float)
        if values.ndim != 2 or len(values) != len(budget):
            raise fail(f"scores[{name!r}]", f"an array ({len(budget)}, N)", values)
        values = np.concatenate([np.ones_like(values[:1]), values])
        mean, low, high = mean_and_band(values.T)
        style = line_style(i)
        ax.fill_between(place, low, high, color=style["color"], alpha=0.15, linewidth=0)
        ax.plot(place, mean, **style, marker="osD^v"[i % 5], markersize=4, label=name)
    for level, dots in zip((chance or {}).items(), (":", "--", "-.")):
        name, value = level
        label = f"chance: {name}"
        ax.axhline(value, color="#888888", linestyle=dots, linewidth=1.2, label=label)
    ax.set_xticks(ticks := _apart(place), [f"{value:g}" for value in ticks])
    ax.set_xlabel("budget ε (1/255)", fontsize=9, color=GREY)
    ax.set_ylim(-0.02, 1.02)
    frame(ax)
    if title is not None:
        ax.set_title(title, fontsize=10)
    if legend and scores:
        legend_below(ax, columns=2)
    return ax


def _apart(places: np.ndarray) -> list[float]:
    """Those whose numbers do not write on one another, from the largest down."""
    kept: list[float] = []
    for place in sorted(places.tolist(), reverse=True):
        if not kept or place == 0 or kept[-1] - place >= 0.07 * places.max():
            kept.append(place)
    if len(kept) > 2 and kept[-2] < 0.07 * places.max():
        del kept[-2]
    return kept[::-1]


def agreement_panels(
    epsilons: ArrayLike,
    scores: Mapping[str, Mapping[str, ArrayLike]],
    *,
    chance: Mapping[str, Mapping[str, float]] | None = None,
    title: str | None = None,
    figure: Figure | None = None,
) -> list[Axes]:
    """Draws several scores side by side, each as ``agreement_curve``.

    Args:
      epsilons: ``(E,)``.
      scores: title of a panel to attack to ``(E, N)``.
      chance: title of a panel to null to its level.
      title: what stands above all.
      figure: where to draw; by default a new one.

    Returns:
      The ``Axes``, one a panel.
    """
    if figure is None:
        size = panels_size(len(scores))
        figure = pyplot().figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for ax, (name, of_attack) in zip(axes, scores.items()):
        agreement_curve(
            epsilons,
            of_attack,
            ax,
            chance=(chance or {}).get(name),
            title=name,
            legend=False,
        )
    handles, names = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=min(3, len(names)),
            fontsize=8,
            frameon=False,
        )
    if title is not None:
        figure.suptitle(title, fontsize=11)
    return list(axes)


def panels_size(num_panels: int) -> tuple[float, float]:
    """Width and height in inches that suit ``agreement_panels``."""
    return 2.7 * num_panels, 3.5
