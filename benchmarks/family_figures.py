"""Draws ``docs/figures/family_*.png``: the idea of each family in one picture.

Two coordinates stand for all pixels, a formula for the network. Only the pictures of
frequencies show a photograph, the cat that comes with scikit-image.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.composites_figure import photograph
from jaxattr.photographs.reading import read_photograph
from jaxattr.plots._style import GREY, LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "figures"
BLUE, RED, GREEN = LINES[:3]
IMAGE, BASELINE = np.array([0.42, 0.55]), np.array([0.05, 0.06])


def margin(point: np.ndarray) -> np.ndarray:
    """Logit of the class less that of the other, of points ``(..., 2)``."""
    p, q = point[..., 0], point[..., 1]
    return 1.15 - 1.1 * p - 0.75 * q + 0.16 * np.sin(7 * p) * np.cos(5 * q)


def slope(point: np.ndarray) -> np.ndarray:
    """The gradient of the margin at one point."""
    steps = 1e-5 * np.eye(2)
    return np.array([(margin(point + s) - margin(point - s)) / 2e-5 for s in steps])


def probability(point: np.ndarray) -> np.ndarray:
    """Of the class."""
    return 1 / (1 + np.exp(-9 * margin(point)))


def plane(ax: Axes) -> None:
    """Two regions of classes and the boundary between them."""
    axis = np.linspace(0, 1, 300)
    values = margin(np.stack(np.meshgrid(axis, axis), -1))
    ax.contourf(axis, axis, values, [-9, 0, 9], colors=[RED, BLUE], alpha=0.12)
    ax.contour(axis, axis, values, [0], colors=GREY, linewidths=1.4)
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("a pixel", fontsize=8, color=GREY)
    ax.set_ylabel("another pixel", fontsize=8, color=GREY)
    ax.text(0.03, 0.93, "cat", color=BLUE, fontsize=11)
    ax.text(0.97, 0.93, "dog", color=RED, fontsize=11, ha="right")
    for spine in ax.spines.values():
        spine.set_visible(False)


def named(ax: Axes, point: np.ndarray, text: str, offset: tuple[float, float]) -> None:
    """A point with its name beside it."""
    ax.plot(*point, "o", color="black", markersize=5, zorder=5)
    ax.annotate(text, point, point + np.array(offset), fontsize=9, zorder=6)


def arrow(ax: Axes, start: np.ndarray, end: np.ndarray, color: str) -> None:
    """From one point to another."""
    style = {"arrowstyle": "-|>", "color": color, "linewidth": 1.6}
    ax.annotate("", end, start, arrowprops=style)


def adversarial_paths(figure: Figure) -> None:
    """A straight line, and a path of steps against the gradient."""
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    plane(left)
    path = [IMAGE]
    while margin(path[-1]) > -0.08:
        g = slope(path[-1])
        path.append(path[-1] - 0.045 * g / np.linalg.norm(g))
    steps = np.array(path)
    line = np.linspace(0, 1, 50)[:, None] * (IMAGE - BASELINE) + BASELINE
    left.plot(*line.T, color=GREY, linestyle="--", linewidth=1.4)
    left.plot(*steps.T, "-o", color=RED, markersize=3, linewidth=1.4)
    named(left, BASELINE, "baseline", (0.03, -0.02))
    named(left, IMAGE, "image", (-0.17, 0.02))
    left.text(0.15, 0.33, "straight\nline", fontsize=9, color=GREY, ha="center")
    left.text(*(steps[-1] + [0.0, -0.09]), "attack", fontsize=9, color=RED)
    right.plot(probability(steps), "-o", color=RED, markersize=3)
    right.axhline(0.5, color="#bbbbbb", linewidth=0.8)
    right.set(xlabel="step of the attack", ylabel="probability of cat", ylim=(0, 1.03))
    right.spines[["top", "right"]].set_visible(False)


def boundaries(figure: Figure) -> None:
    """The nearest point of the boundary, its normal, and the gradient at the image."""
    ax = figure.subplots()
    plane(ax)
    axis = np.linspace(0, 1, 800)
    grid = np.stack(np.meshgrid(axis, axis), -1)
    distance = np.where(margin(grid) < 0, np.linalg.norm(grid - IMAGE, axis=-1), np.inf)
    nearest = grid[np.unravel_index(distance.argmin(), distance.shape)]
    ax.plot(*np.stack([IMAGE, nearest]).T, "--", color=GREY, linewidth=1.4)
    for point, color in ((IMAGE, RED), (nearest, GREEN)):
        g = slope(point)
        arrow(ax, point, point - 0.16 * g / np.linalg.norm(g), color)
    named(ax, IMAGE, "image $x$", (-0.2, 0.02))
    named(ax, nearest, "nearest $x'$", (0.03, -0.04))
    ax.text(0.17, 0.68, "gradient at\nthe image", color=RED, fontsize=9)
    ax.text(0.66, 0.87, "gradient at\nthe boundary", color=GREEN, fontsize=9)


def frequencies(figure: Figure) -> None:
    """A photograph and its bands."""
    import jaxattr as ja

    image = _square()
    bands = np.asarray(ja.band_images(image[None], ja.band_masks(224, 224, 5)))[:, 0]
    axes = figure.subplots(1, 6)
    for i, (ax, picture) in enumerate(zip(axes, [image, *bands], strict=True)):
        if i > 1:  # fine bands are faint: each is stretched around grey
            picture = 0.5 + picture / (6 * picture.std())
        ax.imshow(np.clip(picture, 0, 1))
        ax.set_title("photograph" if i == 0 else f"band {i - 1}", fontsize=9)
        ax.set_axis_off()


def frequency_aware_paths(figure: Figure) -> None:
    """Energy up to a frequency with its cutoff, and the weights around it."""
    image = _square()
    power = (np.abs(np.fft.fft2(image, axes=(0, 1))) ** 2).sum(-1)
    u = np.fft.fftfreq(224, 1 / 224)
    radius = np.hypot(*np.meshgrid(u, u))
    power[0, 0] = 0
    radii = np.arange(113)
    share = np.array([power[radius <= r].sum() for r in radii]) / power.sum()
    cutoff = int(np.argmax(share >= 0.9))
    left, right = figure.subplots(1, 2)
    left.plot(radii, share, color=BLUE)
    left.axhline(0.9, color="#bbbbbb", linewidth=0.8)
    left.set(ylabel="share of the energy", ylim=(0, 1.03))
    for alpha, color in zip((0.1, 0.5, 0.9), (RED, GREY, BLUE), strict=True):
        weights = np.where(radii <= cutoff, 2 * alpha, 2 * (1 - alpha))
        right.plot(radii, weights, color=color, label=f"α = {alpha}")
    right.set(ylabel="weight of the perturbation", ylim=(0, 2.1))
    right.legend(frameon=False, fontsize=8, loc="center right")
    for ax in (left, right):
        ax.axvline(cutoff, color=GREY, linestyle="--", linewidth=1)
        ax.set_xlabel("frequency, cycles an image")
        ax.spines[["top", "right"]].set_visible(False)
    left.text(cutoff + 3, 0.05, f"cutoff {cutoff}", fontsize=8, color=GREY)


def robustness(figure: Figure) -> None:
    """Top pixels of two maps that are one pixel apart: exactly, and with windows."""
    before = [(2, 2), (2, 6), (5, 4), (7, 7), (8, 2)]
    after = [(3, 3), (2, 7), (6, 4), (7, 8), (4, 8)]
    for ax, window in zip(figure.subplots(1, 2), (0, 1), strict=True):
        near = [
            min(max(abs(r - a), abs(c - b)) for a, b in before) <= window
            for r, c in after
        ]
        ax.set(xlim=(0, 11), ylim=(11, 0), aspect="equal", xticks=[], yticks=[])
        for line in range(12):
            ax.axhline(line, color="#e4e4e4", linewidth=0.6)
            ax.axvline(line, color="#e4e4e4", linewidth=0.6)
        for r, c in before:
            ax.add_patch(
                _cell(
                    c - window, r - window, 1 + 2 * window, BLUE, 0.12 if window else 0
                )
            )
            ax.add_patch(_cell(c, r, 1, BLUE, 0.75))
        for (r, c), counts in zip(after, near, strict=True):
            ax.add_patch(_cell(c, r, 1, RED, 0.75))
            if counts:
                ax.text(c + 0.5, r + 0.55, "✓", ha="center", va="center", color="w")
        title = "exactly" if window == 0 else "within one pixel"
        ax.set_title(f"{title}: {sum(near)} of {len(after)} agree", fontsize=10)
    figure.text(0.5, 0.02, "before (blue) and after (red) the attack", ha="center")


def _cell(column: int, row: int, side: int, color: str, alpha: float):
    from matplotlib.patches import Rectangle

    return Rectangle(
        (column, row), side, side, facecolor=color, alpha=alpha, edgecolor="none"
    )


def _square() -> np.ndarray:
    """The cat, 224 by 224 in [0, 1]."""
    picture = read_photograph(photograph()).convert("RGB")
    width, height = picture.size
    left = (width - height) // 2
    picture = picture.crop((left, 0, left + height, height)).resize((224, 224))
    return np.asarray(picture, np.float32) / np.float32(255)


SIZES = {
    adversarial_paths: (7, 3.1),
    boundaries: (4.2, 4.0),
    frequencies: (9, 1.9),
    frequency_aware_paths: (7, 2.8),
    robustness: (6.4, 3.6),
}


def main() -> None:
    from matplotlib.figure import Figure

    for draw, size in SIZES.items():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        dpi = 80 if draw is frequencies else 130  # photographs are large files
        figure.savefig(FOLDER / f"family_{draw.__name__}.png", dpi=dpi)


if __name__ == "__main__":
    main()
