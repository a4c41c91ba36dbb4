"""Figures of maps: arrays and an ``Axes`` in, the ``Axes`` out.

The rule of colour is that of ``map_colors`` for every method, and the value at the ends
of the colours is written on the panel. Values are shown as they are: not squashed to
[0, 1], not smoothed, not made positive.

No global style is touched. Without ``ax`` a new figure is made with ``pyplot``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import fail
from jaxattr.plots import map_colors
from jaxattr.plots._style import GREY, axes_or_new, bare, colormap, pyplot, wrapped
from jaxattr.plots.map_colors import PERCENTILE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def attribution_map(
    attribution: ArrayLike,
    ax: Axes | None = None,
    *,
    image: ArrayLike | None = None,
    percentile: float = PERCENTILE,
    title: str | None = None,
    colors: str | None = None,
) -> Axes:
    """Draws one map with the shared rule of colour.

    Args:
      attribution: ``(H, W, C)`` or ``(H, W)``; channels are summed.
      ax: where to draw; by default a new figure.
      image: ``(H, W, 3)`` or ``(H, W)`` in [0, 1]. Given, it lies under the map as a
        pale grey, and the map is the more opaque the larger its absolute value.
      percentile: the end of the colours is this percentile of the absolute values, so
        that a few extreme pixels do not leave the rest white. 100 is the largest.
      title: what stands above.
      colors: a colour map of matplotlib, in place of blue, white and red.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: arrays of another shape, a percentile outside 0 to 100, or an unknown
        colour map.
    """
    limit = map_colors.color_limit(attribution, percentile)
    shown = map_colors.scaled(attribution, limit)
    ax = axes_or_new(ax)
    if image is None:
        ax.imshow(
            shown, cmap=colormap(colors), vmin=-1, vmax=1, interpolation="nearest"
        )
    else:
        ax.imshow(_overlay(shown, image, colors), interpolation="nearest")
    bare(ax)
    ax.set_xlabel(f"±{limit:.2g}", fontsize=8, color=GREY, labelpad=3)
    if title is not None:
        ax.set_title(title, fontsize=10, pad=5)
    return ax


def explanation_grid(
    images: ArrayLike,
    maps: Mapping[str, ArrayLike],
    *,
    captions: Sequence[str] = (),
    overlay: bool = False,
    percentile: float = PERCENTILE,
    colors: str | None = None,
    figure: Figure | None = None,
) -> np.ndarray:
    """Draws each photograph, what it is taken for, and its maps by several methods.

    Args:
      images: ``(N, H, W, 3)`` in [0, 1].
      maps: title to maps ``(N, H, W, C)``; one column each, in this order.
      captions: N texts, such as ``"tiger cat, 38.6%"``.
      overlay: lay the maps over the photographs.
      percentile: as in ``attribution_map``, for each map on its own.
      colors: as in ``attribution_map``.
      figure: where to draw; by default a new figure of ``grid_size(N, len(maps),
        captions)``.

    Returns:
      The ``Axes``, ``(N, 1 + len(maps))``.

    Raises:
      ValueError: shapes or lengths that do not fit.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise fail("images", "an array (N, H, W, 3)", images)
    for title, values in maps.items():
        if np.shape(values)[:3] != images.shape[:3]:
            raise fail(
                f"maps[{title!r}]", f"{images.shape[:3]} + (C,)", np.shape(values)
            )
    if captions and len(captions) != len(images):
        raise fail("captions", f"{len(images)} texts", captions)
    if figure is None:
        figure = pyplot().figure(
            figsize=grid_size(len(images), len(maps), captions), layout="constrained"
        )
    axes = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    for row, image in enumerate(images):
        photograph = axes[row, 0]
        photograph.imshow(np.clip(image, 0, 1), interpolation="antialiased")
        bare(photograph)
        if captions:
            photograph.set_xlabel(wrapped(captions[row]), fontsize=9, labelpad=3)
        for ax, (title, values) in zip(axes[row, 1:], maps.items()):
            attribution_map(
                np.asarray(values)[row],
                ax,
                image=image if overlay else None,
                percentile=percentile,
                title=title if row == 0 else None,
                colors=colors,
            )
    _colorbar(figure, axes, colors)
    return axes


def grid_size(
    num_images: int, num_maps: int, captions: Sequence[str] = ()
) -> tuple[float, float]:
    """Width and height in inches that suit ``explanation_grid``.

    >>> [f"{side:.2f}" for side in grid_size(1, 3, ["West Highland white terrier, 97.1%"])]
    ['7.00', '2.70']
    """
    more_lines = sum(wrapped(caption).count("\n") for caption in captions)
    return 1.75 * (1 + num_maps), 1.93 * num_images + 0.6 + 0.17 * more_lines


def _overlay(scaled: np.ndarray, image: ArrayLike, colors: str | None) -> np.ndarray:
    image = np.asarray(image, float)
    if image.shape[:2] != scaled.shape or image.ndim not in (2, 3):
        raise fail("image", f"{(*scaled.shape, 3)}", image)
    grey = image if image.ndim == 2 else image.mean(axis=-1)
    pale = 0.7 + 0.3 * np.clip(grey, 0, 1)[..., None]
    scaled = np.nan_to_num(scaled)
    if colors is None:
        tints = map_colors.tints(scaled)
    else:
        tints = colormap(colors)((scaled + 1) / 2)[..., :3]
    opacity = map_colors.opacity(scaled)[..., None]
    return (1 - opacity) * pale + opacity * tints


def _colorbar(figure: Figure, axes: np.ndarray, colors: str | None) -> None:
    if axes.shape[1] < 2:
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), colormap(colors)),
        ax=axes,
        location="bottom",
        shrink=0.4,
        aspect=45,
        pad=0.015,
        ticks=[-1, 0, 1],
    )
    bar.ax.set_xticklabels(["against the class", "0", "for the class"])
    bar.ax.tick_params(labelsize=8, length=0, labelcolor=GREY)
    bar.outline.set_visible(False)
