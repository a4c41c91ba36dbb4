"""Figures of band importances: arrays and an ``Axes`` in, the ``Axes`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.plots._style import (
    GREY,
    LINES,
    axes_or_new,
    colormap,
    frame,
    legend_below,
    line_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def band_importance(
    values: Mapping[str, tuple[ArrayLike, ArrayLike]],
    ax: Axes | None = None,
    *,
    title: str | None = None,
    ylabel: str = "Shapley value (nats)",
) -> Axes:
    """Draws the importance of each band with error bars, one line a model.

    Args:
      values: name to values ``(M,)`` and their standard errors ``(M,)``; the bars are
        95 % intervals, 1.96 errors each way.
      ax: where to draw; by default a new figure.
      title: what stands above.
      ylabel: what stands at the left.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: values and errors of different lengths.
    """
    ax = axes_or_new(ax, figsize=(5.2, 3.4))
    num_bands = 1
    for i, (name, (heights, errors)) in enumerate(values.items()):
        heights, errors = np.asarray(heights, float), np.asarray(errors, float)
        if heights.ndim != 1 or heights.shape != errors.shape:
            raise fail(f"values[{name!r}]", "values and errors (M,)", errors)
        num_bands = max(num_bands, len(heights))
        # A little apart, so that bars do not hide one another.
        shift = 0.07 * (i - (len(values) - 1) / 2)
        ax.errorbar(
            np.arange(len(heights)) + shift,
            heights,
            yerr=np.where(np.isfinite(errors), 1.96 * errors, 0),
            **line_style(i),
            marker="osD^v"[i % 5],
            markersize=3.5,
            linewidth=1.5,
            elinewidth=1,
            capsize=2,
            label=name,
        )
    _frame(ax, num_bands, ylabel, title)
    ax.axhline(0, color="#999999", linewidth=0.8, zorder=0)
    if len(values) > 1:
        legend_below(ax, columns=2)
    return ax


def importance_spread(
    per_image: ArrayLike, ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draws how the importance of each band differs from image to image.

    Args:
      per_image: ``(N, M)`` Shapley values: a box from quartile to quartile with the
        median, whiskers from the 5th to the 95th percentile, and a dot an image.
      ax: where to draw; by default a new figure.
      title: what stands above.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: an array of another rank.
    """
    per_image = np.asarray(per_image, float)
    if per_image.ndim != 2 or not per_image.size:
        raise fail("per_image", "an array (N, M)", per_image)
    ax = axes_or_new(ax, figsize=(5.2, 3.4))
    num_images, num_bands = per_image.shape
    # The same places each time, so that the same data give the same figure.
    places = np.random.default_rng(0).uniform(-0.18, 0.18, per_image.shape)
    ax.scatter(
        np.arange(num_bands) + places,
        per_image,
        s=5,
        color=LINES[0],
        alpha=min(0.7, 0.15 + 10 / num_images),
        linewidths=0,
    )
    ax.boxplot(
        list(per_image.T),
        positions=np.arange(num_bands),
        widths=0.5,
        whis=(5, 95),
        showfliers=False,
        medianprops={"color": LINES[1], "linewidth": 1.6},
        boxprops={"color": GREY},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
    )
    ax.axhline(0, color="#999999", linewidth=0.8, zorder=0)
    _frame(ax, num_bands, "Shapley value of an image (nats)", title)
    return ax


def interaction_map(
    interactions: ArrayLike, ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draws the interaction of every pair of bands as a heat map.

    Red pairs are worth more together than apart, blue ones make up for each other. The
    diagonal, which means nothing, is grey.

    Args:
      interactions: ``(M, M)``; see ``shapley_interactions``.
      ax: where to draw; by default a new figure.
      title: what stands above.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: not a square array.
    """
    interactions = np.asarray(interactions, float)
    if interactions.ndim != 2 or len(set(interactions.shape)) != 1:
        raise fail("interactions", "an array (M, M)", interactions)
    ax = axes_or_new(ax, figsize=(4.2, 3.6))
    limit = np.abs(interactions).max() or 1.0
    shown = np.ma.masked_array(interactions, np.eye(len(interactions), dtype=bool))
    ax.set_facecolor("#dddddd")
    image = ax.imshow(shown, cmap=colormap(), vmin=-limit, vmax=limit, origin="lower")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    bar.set_label("interaction (nats)", fontsize=9, color=GREY)
    bar.ax.tick_params(labelsize=8, labelcolor=GREY)
    ticks = np.arange(len(interactions))
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)
    ax.tick_params(labelsize=8, color="#bbbbbb", labelcolor=GREY)
    ax.spines[:].set_color("#cccccc")
    bar.outline.set_visible(False)
    ax.set_xlabel("band, low to high", fontsize=9, color=GREY)
    ax.set_ylabel("band", fontsize=9, color=GREY)
    if title is not None:
        ax.set_title(title, fontsize=10)
    return ax


def score_against(
    names: Sequence[str],
    scores: ArrayLike,
    errors: ArrayLike,
    ax: Axes | None = None,
    *,
    xlabel: str = "spectral score (signed)",
    ylabel: str = "mean corruption error, lower is better",
    title: str | None = None,
) -> Axes:
    """Draws a point a model, named in the legend: spectral score against an error.

    Args:
      names: of the models.
      scores: a number each.
      errors: a number each.
      ax: where to draw; by default a new figure.
      xlabel: what stands below.
      ylabel: what stands at the left.
      title: what stands above.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: lengths that differ.
    """
    scores, errors = np.asarray(scores, float), np.asarray(errors, float)
    if scores.shape != (len(names),) or errors.shape != scores.shape:
        raise fail("errors", f"{len(names)} numbers", errors)
    ax = axes_or_new(ax, figsize=(4.6, 3.4))
    # A legend: names beside the points would write on one another.
    for i, name in enumerate(names):
        color = LINES[i % len(LINES)]
        marker = "osD^v"[i // len(LINES) % 5]
        ax.scatter(scores[i], errors[i], s=32, color=color, marker=marker, label=name)
    ax.margins(0.15, 0.15)
    frame(ax)
    legend_below(ax, columns=2)
    ax.set_xlabel(xlabel, fontsize=9, color=GREY)
    ax.set_ylabel(ylabel, fontsize=9, color=GREY)
    if title is not None:
        ax.set_title(title, fontsize=10)
    return ax


def _frame(ax: Axes, num_bands: int, ylabel: str, title: str | None) -> None:
    ax.set_xticks(np.arange(num_bands), [str(i) for i in range(num_bands)])
    ax.set_xlim(-0.6, num_bands - 0.4)
    # Bands are equally wide, up to half a cycle per pixel.
    cycles = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    top = ax.secondary_xaxis("top")
    top.set_xticks(2 * num_bands * cycles - 0.5, [f"{value:g}" for value in cycles])
    top.tick_params(labelsize=7, color="#bbbbbb", labelcolor=GREY, length=2)
    top.set_xlabel("spatial frequency (cycles per pixel)", fontsize=8, color=GREY)
    top.spines["top"].set_visible(False)
    ax.set_xlabel("frequency band, low to high", fontsize=9, color=GREY)
    ax.set_ylabel(ylabel, fontsize=9, color=GREY)
    frame(ax)
    if title is not None:
        ax.set_title(title, fontsize=10)
