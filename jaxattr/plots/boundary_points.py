"""Figures of decision boundaries: arrays and ``Axes`` in, the ``Axes`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.plots._style import (
    LINES,
    axes_or_new,
    bare,
    frame,
    pyplot,
    wrapped,
)
from jaxattr.plots.maps import attribution_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def boundary_row(
    image: ArrayLike,
    point: ArrayLike,
    maps: Mapping[str, ArrayLike],
    axes: Sequence[Axes] | None = None,
    *,
    captions: tuple[str, str] = ("", ""),
    distance: float | None = None,
    overlay: bool = False,
    colors: str | None = None,
) -> Sequence[Axes]:
    """Draws an image, the boundary point, what differs, and maps made with it.

    The difference is drawn around grey, so many times larger that its 99.9th percentile
    reaches black or white; the factor stands below.

    Args:
      image: ``(H, W, 3)`` in [0, 1].
      point: ``(H, W, 3)``, its nearest boundary point.
      maps: title to a map ``(H, W, C)``, one panel each.
      axes: ``3 + len(maps)`` of them; by default a new figure.
      captions: what the model takes the two images for.
      distance: Euclidean, written below the boundary point; infinite where none was
        found, which then stands above.
      overlay: lay the maps over the image.
      colors: a colour map of matplotlib; see ``attribution_map``.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: shapes or lengths that do not fit.
    """
    image, point = np.asarray(image, float), np.asarray(point, float)
    if image.ndim != 3 or point.shape != image.shape:
        raise fail("point", f"an array {image.shape}, as the image (H, W, 3)", point)
    count = 3 + len(maps)
    if axes is None:
        figure = pyplot().figure(figsize=(1.9 * count, 2.3), layout="constrained")
        axes = figure.subplots(1, count)
    if len(axes) != count:
        raise fail("axes", f"{count} axes", f"{len(axes)} axes")
    change = np.abs(point - image)
    factor = 0.5 / (np.percentile(change, 99.9) or change.max() or 1)
    shown = (image, point, 0.5 + factor * (point - image))
    is_found = distance is None or bool(np.isfinite(distance))
    is_moved = bool(np.any(point != image))
    seen, behind = map(wrapped, captions)
    if distance is not None and is_found:
        behind = f"{behind}\n{distance:.3g} away".strip()
    middle = "At the boundary" if is_found else "No boundary found"
    titles = ("Photograph", middle, "Difference")
    notes = (seen, behind, f"× {_rounded(factor)}" if is_moved else "none")
    for ax, pixels, title, note in zip(axes, shown, titles, notes):
        ax.imshow(np.clip(pixels, 0, 1), interpolation="antialiased")
        bare(ax)
        ax.set_title(title, fontsize=10, pad=5)
        ax.set_xlabel(note, fontsize=8, labelpad=3)
    for ax, (title, values) in zip(axes[3:], maps.items()):
        attribution_map(
            values, ax, title=title, image=image if overlay else None, colors=colors
        )
    return axes


def _rounded(number: float) -> str:
    """Three digits at most, without an exponent.

    >>> [_rounded(number) for number in (0.0512, 3.333, 51.2, 1957.0)]
    ['0.0512', '3.33', '51.2', '1,960']
    """
    number = float(f"{number:.3g}")
    return f"{number:,.0f}" if number >= 100 else f"{number:g}"


def score_groups(
    means: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
    ax: Axes | None = None,
    *,
    title: str | None = None,
    log: bool = False,
    legend: bool = True,
) -> Axes:
    """Draws a mean and its interval for each method, side by side for several models.

    Args:
      means: model to method to number.
      intervals: model to method to (low, high).
      ax: where to draw; by default a new figure.
      title: what stands above.
      log: a logarithmic axis.
      legend: name the models beside the axes.

    Returns:
      The ``Axes``.
    """
    ax = axes_or_new(ax, figsize=(5, 3.2))
    methods = list(next(iter(means.values())))
    for i, (model, values) in enumerate(means.items()):
        place = np.arange(len(methods)) + 0.7 * ((i + 0.5) / len(means) - 0.5)
        middle = np.array([values[m] for m in methods])
        low, high = np.array([intervals[model][m] for m in methods]).T
        ax.errorbar(
            place,
            middle,
            yerr=[np.maximum(middle - low, 0), np.maximum(high - middle, 0)],
            fmt="os^D"[i // len(LINES) % 4],
            markersize=3.5,
            linewidth=1.2,
            color=LINES[i % len(LINES)],
            label=model,
        )
    ax.set_xticks(range(len(methods)), methods, fontsize=8, rotation=30, ha="right")
    if log:
        ax.set_yscale("log")
    frame(ax, grid="y")
    if title is not None:
        ax.set_title(title, fontsize=10)
    # Methods apart: without a line the last of one is nearer the first of the next.
    for border in range(1, len(methods)):
        ax.axvline(border - 0.5, color="#e6e6e6", linewidth=0.6, zorder=0)
    ax.set_xlim(-0.5, len(methods) - 0.5)
    if legend and len(means) > 1:
        # Beside the axes: there may be a point anywhere.
        ax.legend(
            fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0)
        )
    return ax
