"""Figures of maps and curves: arrays and an ``Axes`` in, the ``Axes`` out.

One rule of colour holds for every method: channels are summed, red speaks for the class
and blue against it, white is zero, and both ends stand for the same absolute value,
which is written on the panel. Values are shown as they are: not squashed to [0, 1], not
smoothed, not made positive.

No global style is touched. Without ``ax`` a new figure is made with ``pyplot``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxattr._checks import check_number, fail

# Blue, white, red of equal lightness at both ends, and lighter than matplotlib's RdBu:
# single pixels of its near-black ends could not be told apart.
_DIVERGING = ("#0b4fb8", "#5b9be6", "#ffffff", "#f2805f", "#bd0f2a")
_GREY = "#555555"
_LINES = ("#0b5fa5", "#d1495b", "#2a9d6f", "#e39b2d", "#7b5ea7", "#4f5d75", "#a0624a")


def attribution_map(
    attribution: Any,
    ax: Any = None,
    *,
    image: Any = None,
    percentile: float = 99.5,
    title: str | None = None,
) -> Any:
    """Draws one map with the shared rule of colour.

    Args:
      attribution: ``(H, W, C)`` or ``(H, W)``; channels are summed.
      ax: where to draw; by default a new figure.
      image: ``(H, W, 3)`` or ``(H, W)`` in [0, 1]. Given, it lies under the map as a
        pale grey, and the map is the more opaque the larger its absolute value.
      percentile: the end of the colours is this percentile of the absolute values, so
        that a few extreme pixels do not leave the rest white. 100 is the largest.
      title: what stands above.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: arrays of another shape, or a percentile outside 0 to 100.
    """
    values = _channel_sum(attribution)
    limit = color_limit(values, percentile)
    ax = _axes(ax)
    if image is None:
        shown: Any = np.clip(values / limit, -1, 1)
        ax.imshow(shown, cmap=_colormap(), vmin=-1, vmax=1, interpolation="nearest")
    else:
        ax.imshow(_overlay(values / limit, image), interpolation="nearest")
    _bare(ax)
    ax.set_xlabel(f"±{limit:.2g}", fontsize=8, color=_GREY, labelpad=3)
    if title is not None:
        ax.set_title(title, fontsize=10, pad=5)
    return ax


def color_limit(attribution: Any, percentile: float = 99.5) -> float:
    """The absolute value at the ends of the colours; 1 for a map of zeros.

    Not finite values are left out.
    """
    percentile = check_number("percentile", percentile, 0, 100)
    magnitude = np.abs(_channel_sum(attribution))
    magnitude = magnitude[np.isfinite(magnitude)]
    if not magnitude.size or not magnitude.max():
        return 1.0
    # A map that is zero nearly everywhere has a percentile of zero.
    return float(np.percentile(magnitude, percentile)) or float(magnitude.max())


def explanation_grid(
    images: Any,
    maps: Mapping[str, Any],
    *,
    captions: Sequence[str] = (),
    overlay: bool = False,
    percentile: float = 99.5,
    figure: Any = None,
) -> np.ndarray:
    """Draws each photograph, what it is taken for, and its maps by several methods.

    Args:
      images: ``(N, H, W, 3)`` in [0, 1].
      maps: title to maps ``(N, H, W, C)``; one column each, in this order.
      captions: N texts, such as ``"tiger cat, 38.6%"``.
      overlay: lay the maps over the photographs.
      percentile: as in ``attribution_map``, for each map on its own.
      figure: where to draw; by default a new figure of ``grid_size(N, len(maps))``.

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
        figure = _pyplot().figure(
            figsize=grid_size(len(images), len(maps)), layout="constrained"
        )
    axes = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    for row, image in enumerate(images):
        photograph = axes[row, 0]
        photograph.imshow(np.clip(image, 0, 1), interpolation="antialiased")
        _bare(photograph)
        if captions:
            photograph.set_xlabel(captions[row], fontsize=9, labelpad=3)
        for ax, (title, values) in zip(axes[row, 1:], maps.items()):
            attribution_map(
                np.asarray(values)[row],
                ax,
                image=image if overlay else None,
                percentile=percentile,
                title=title if row == 0 else None,
            )
    _colorbar(figure, axes)
    return axes


def grid_size(num_images: int, num_maps: int) -> tuple[float, float]:
    """Width and height in inches that suit ``explanation_grid``."""
    return 1.75 * (1 + num_maps), 1.93 * num_images + 0.6


def curves(
    values: Mapping[str, Any],
    ax: Any = None,
    *,
    title: str | None = None,
    ylabel: str | None = "probability of the class",
) -> Any:
    """Draws insertion or deletion curves, the area under each in the legend.

    Args:
      values: name of a method to its curve ``(T + 1,)``, or to curves ``(N, T + 1)``,
        whose mean is drawn, with a band where that mean may lie (95 %).
      ax: where to draw; by default a new figure.
      title: what stands above.
      ylabel: what stands at the left, None for nothing.

    Returns:
      The ``Axes``.

    Raises:
      ValueError: curves of another rank or of fewer than two points.
    """
    ax = _axes(ax, figsize=(4.2, 3.2))
    for i, (name, curve) in enumerate(values.items()):
        curve = np.asarray(curve, float)
        if curve.ndim not in (1, 2) or curve.shape[-1] < 2:
            raise fail(f"values[{name!r}]", "a curve (T + 1,) or (N, T + 1)", curve)
        share, color = np.linspace(0, 1, curve.shape[-1]), _LINES[i % len(_LINES)]
        if curve.ndim == 2:
            curve, *band = mean_and_band(curve)
            ax.fill_between(share, *band, color=color, alpha=0.12, linewidth=0)
        area = np.sum(curve[1:] + curve[:-1]) / 2 / (curve.size - 1)
        ax.plot(
            share,
            curve,
            color=color,
            linestyle=("-", "--", ":", "-.")[i // len(_LINES) % 4],
            linewidth=1.6,
            label=f"{area:.3f}  {name}",
        )
    ax.set_xlim(0, 1)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    ax.tick_params(labelsize=8, color="#bbbbbb", labelcolor=_GREY)
    ax.grid(color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#bbbbbb")
    if ylabel is not None:
        ax.set_ylabel(ylabel, fontsize=9, color=_GREY)
    if title is not None:
        ax.set_title(title, fontsize=10)
    if values:
        legend = ax.legend(fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
        legend.set_title("area under the curve", prop={"size": 8})
        legend.get_title().set_color(_GREY)
    return ax


def _channel_sum(attribution: Any) -> np.ndarray:
    values = np.asarray(attribution, float)
    if values.ndim not in (2, 3) or not values.size:
        raise fail("attribution", "an array (H, W, C) or (H, W)", values)
    return values if values.ndim == 2 else values.sum(axis=-1)


def _overlay(scaled: np.ndarray, image: Any) -> np.ndarray:
    image = np.asarray(image, float)
    if image.shape[:2] != scaled.shape or image.ndim not in (2, 3):
        raise fail("image", f"{(*scaled.shape, 3)}", image)
    grey = image if image.ndim == 2 else image.mean(axis=-1)
    pale = 0.7 + 0.3 * np.clip(grey, 0, 1)[..., None]
    scaled = np.nan_to_num(np.clip(scaled, -1, 1))
    colors = _colormap()((scaled + 1) / 2)[..., :3]
    opacity = np.sqrt(np.abs(scaled))[..., None]
    return (1 - opacity) * pale + opacity * colors


def _colorbar(figure: Any, axes: np.ndarray) -> None:
    if axes.shape[1] < 2:
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), _colormap()),
        ax=axes,
        location="bottom",
        shrink=0.4,
        aspect=45,
        pad=0.015,
        ticks=[-1, 0, 1],
    )
    bar.ax.set_xticklabels(["against the class", "0", "for the class"])
    bar.ax.tick_params(labelsize=8, length=0, labelcolor=_GREY)
    bar.outline.set_visible(False)


def _bare(ax: Any) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color("#cccccc")
        spine.set_linewidth(0.6)


def mean_and_band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean of scores in [0, 1] over the first axis, and 95 % of where it may lie."""
    mean = values.mean(axis=0)
    error = 1.96 * values.std(axis=0) / max(1, len(values) - 1) ** 0.5
    return mean, np.clip(mean - error, 0, 1), np.clip(mean + error, 0, 1)


def _axes(ax: Any, **options: Any) -> Any:
    if ax is not None:
        return ax
    return _pyplot().subplots(layout="constrained", **options)[1]


def _colormap() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("against-for", _DIVERGING)


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'jaxattr[app]'") from None
    return plt
