"""The figures of the studies, drawn from their tables in ``results``.

    python -m benchmarks.figures               # all of them
    python -m benchmarks.figures study_boundary

A study calls its function here when its tables are written, so figures and tables hold
the same numbers, and a figure is drawn anew without measuring anything.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

from benchmarks import report
from jaxattr import plots
from jaxattr.evaluation.runs.figures import DEFAULT, new_figure, save
from jaxattr.plots._style import GREY, LINES, frame, line_style

DOUBLE = 6.9
"""Inches of a figure over two columns of a journal."""
NUMBER = r"-?[\d.]+(?:e-?\d+)?"

Rows = list[dict[str, str]]


def sections(name: str) -> dict[str, Rows]:
    """Heading of a section to the rows of its table, of ``results/NAME.md``."""
    text = (report.RESULTS / f"{name}.md").read_text()
    found = {}
    for part in text.split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        lines = [line for line in body.splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
        if cells:
            header, _, *rows = cells
            found[heading.strip()] = [dict(zip(header, row)) for row in rows]
    return found


def interval(cell: str) -> tuple[float, float, float]:
    """``0.30 (0.28 to 0.32)`` or ``0.30 ± 0.02`` as mean, low and high."""
    numbers = [float(number) for number in re.findall(NUMBER, cell)]
    if "±" in cell:
        mean, half = numbers
        return mean, mean - half, mean + half
    mean, low, high = numbers
    return mean, low, high


def _save(figure: Figure, name: str) -> str:
    save(figure, report.RESULTS / f"{name}.png", DEFAULT)
    return f"{name}.png"


def faithfulness(name: str) -> list[str]:
    """A bar a method: two scores in two orders of the pixels."""
    made = []
    for heading, rows in sections(name).items():
        if not heading.endswith(": scores"):
            continue
        model, photographs, count = heading.removesuffix(": scores").split(", ")
        columns = [c for c in rows[0] if c.startswith(("insertion", "deletion"))]
        figure = new_figure((DOUBLE, 0.95 + 0.165 * len(rows)))
        figure.suptitle(f"{model}, {count} ({photographs})", fontsize=9)
        axes = figure.subplots(1, len(columns), sharey=True)
        for ax, column in zip(axes, columns, strict=True):
            metric, order = column.split(", ")
            values = np.array([interval(row[column]) for row in rows])
            better = "higher" if metric == "insertion" else "lower"
            plots.score_bars(
                [row["method"] for row in rows],
                values[:, 0],
                values[:, 1:],
                ax,
                title=f"{metric.capitalize()}\n{ORDERS[order]}",
                xlabel=f"area under the curve,\n{better} is better",
                numbers=False,
            )
            ax.tick_params(labelsize=6.5, length=0, axis="y")
            ax.tick_params(labelsize=6.5, axis="x")
            ax.title.set_fontsize(8)
            ax.xaxis.label.set_fontsize(7)
        made.append(_save(figure, f"{name}_{photographs}_{model}"))
    return made


ORDERS = {"channel_sum": "one order of pixels", "channel_union": "an order a channel"}


def _legend(figure: Figure, ax: Axes, *, columns: int) -> None:
    """One for all panels, below them."""
    figure.legend(
        *ax.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=columns,
        fontsize=7.5,
        frameon=False,
    )


def _groups(
    panels: Sequence[tuple[str, Mapping[str, Mapping[str, str]], bool]], title: str
) -> Figure:
    """Panels of means with intervals: model to method to a cell of a table; log axis."""
    figure = new_figure((DOUBLE, 3.6))
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(1, len(panels))
    for ax, (what, cells, is_log) in zip(axes, panels, strict=True):
        values = {
            model: {method: interval(cell) for method, cell in of.items()}
            for model, of in cells.items()
        }
        plots.score_groups(
            {model: {m: v[0] for m, v in of.items()} for model, of in values.items()},
            {model: {m: v[1:] for m, v in of.items()} for model, of in values.items()},
            ax,
            title=what,
            log=is_log,
            legend=False,
        )
        ax.title.set_fontsize(8.5)
        ax.tick_params(labelsize=7)
    return figure


def boundary_study(name: str) -> list[str]:
    """Localisation, alignment, or both."""
    tables, made = sections(name), []
    aligned = {
        heading.removeprefix("Alignment of "): rows
        for heading, rows in tables.items()
        if heading.startswith("Alignment of ")
    }
    if aligned:
        made.append(_save(_alignment(aligned), name))
    for heading, rows in tables.items():
        if heading.startswith("Localisation"):
            figure = _localization(heading, rows)
            made.append(_save(figure, f"{name}_localization" if aligned else name))
    return made


def _localization(heading: str, rows: Rows) -> Figure:
    """How much of each attribution lies in the boxes."""
    _, model, count = heading.split(", ")
    kept = [row for row in rows if row["concentration"]]
    of = lambda *measures: {
        measure: {row["method"]: row[measure] for row in kept} for measure in measures
    }
    figure = _groups(
        [
            ("Share, higher is better", of("Loc", "energy game", "positive %"), False),
            ("Concentration, higher is better", of(*list(rows[0])[-2:]), False),
        ],
        f"In the boxes of objects: {model}, {count}",
    )
    for ax in figure.axes:
        ax.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.32),
            ncols=3,
            fontsize=7.5,
            frameon=False,
            columnspacing=1,
            handletextpad=0.3,
        )
    return figure


def _alignment(tables: Mapping[str, Rows]) -> Figure:
    """How near attributions are to their boundary twins, model by model."""
    models = [row[""] for row in next(iter(tables.values())) if " - " not in row[""]]
    of = lambda measure: {
        model: {
            pair: next(row[measure] for row in rows if row[""] == model)
            for pair, rows in tables.items()
        }
        for model in models
    }
    figure = _groups(
        [
            ("Distance (raw L2), lower is nearer", of("raw L2"), True),
            ("Cosine, higher is nearer", of("cosine"), False),
        ],
        "Attribution and boundary twin, images of MNIST (LeNet) or of CIFAR-10",
    )
    _legend(figure, figure.axes[0], columns=4)
    return figure


def sampling(name: str) -> list[str]:
    """Error of sampled Shapley values against calls, and the error that is reported."""
    heading, rows = next(
        (h, r) for h, r in sections(name).items() if h.startswith("Sampled estimators")
    )
    games = list(dict.fromkeys(row["game"] for row in rows))
    estimators = list(dict.fromkeys(row["estimator"] for row in rows))
    figure = new_figure((DOUBLE, 2.9))
    figure.suptitle(heading, fontsize=9)
    axes = figure.subplots(1, len(games))
    for ax, game in zip(axes, games, strict=True):
        for i, estimator in enumerate(estimators):
            own = [r for r in rows if (r["game"], r["estimator"]) == (game, estimator)]
            calls = [int(row["calls"]) for row in own]
            style = line_style(i)
            column = lambda name: [float(row[name]) for row in own]
            ax.loglog(
                *(calls, column("error")),
                **style,
                marker="os"[i],
                markersize=3.5,
                label=estimator,
            )
            reported = {**style, "linestyle": ":"}
            ax.loglog(
                *(calls, column("reported error")),
                **reported,
                label=f"{estimator}, as reported",
            )
        ax.set_title(game.capitalize(), fontsize=8.5)
        ax.set_xlabel("calls (of 1,024)", fontsize=8, color=GREY)
        ax.xaxis.set_major_locator(FixedLocator(calls))
        ax.xaxis.set_major_formatter(FormatStrFormatter("%d"))
        marks = [m * 10.0**e for e in (-3, -2, -1, 0) for m in (1, 2, 5)]
        low, high = ax.get_ylim()
        ax.yaxis.set_major_locator(FixedLocator([m for m in marks if low <= m <= high]))
        ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        frame(ax)
        ax.tick_params(labelsize=7)
    axes[0].set_ylabel("root mean square error", fontsize=8, color=GREY)
    _legend(figure, axes[0], columns=4)
    return [_save(figure, name)]


def spectral(name: str) -> list[str]:
    """Bands of all models, spread and interactions of the first, scores and errors."""
    tables, made = sections(name), []
    for kind, title in (("cifar", "CIFAR-10 twins"), ("imagenet", "ImageNet")):
        heading, bands = next(
            (h, rows)
            for h, rows in tables.items()
            if h.startswith(title) and h.endswith("importance per band")
        )
        scores = tables[f"{title}: scores and robustness"]
        count = heading.removesuffix(": importance per band").removeprefix(f"{title}, ")
        first = json.loads((report.RESULTS / f"{name}_{kind}.json").read_text())
        figure = new_figure((DOUBLE, 6.2))
        figure.suptitle(f"{title}, {count}", fontsize=9)
        axes = figure.subplots(2, 2)
        values = {
            row["model"]: np.array(
                [interval(cell) for column, cell in row.items() if column != "model"]
            )
            for row in bands
        }
        plots.band_importance(
            {
                model: (v[:, 0], (v[:, 2] - v[:, 0]) / 1.96)
                for model, v in values.items()
            },
            axes[0, 0],
        )
        plots.importance_spread(first["per_image"], axes[0, 1], title=first["model"])
        plots.interaction_map(first["interactions"], axes[1, 0], title=first["model"])
        plots.score_against(
            [row["model"] for row in scores],
            [interval(row["signed"])[0] for row in scores],
            [interval(row["mCE"])[0] for row in scores],
            axes[1, 1],
            ylabel=f"mean corruption error\n(1: {scores[0]['model']}), lower is better",
        )
        # The same models in the same colours: one legend for both panels.
        for ax in (axes[0, 0], axes[1, 1]):
            ax.get_legend().remove()
        for ax in figure.axes:
            ax.xaxis.label.set_fontsize(7.5)
            ax.yaxis.label.set_fontsize(7.5)
            ax.title.set_fontsize(8.5)
        _legend(figure, axes[0, 0], columns=3)
        made.append(_save(figure, f"{name}_{kind}"))
    return made


def metrics_study(name: str) -> list[str]:
    """The rank of every method by every metric, and how far the metrics agree."""
    tables = sections(name)
    of = lambda what: next(
        (h, rows) for h, rows in tables.items() if h.endswith(f": {what}")
    )
    heading, ranked = of("ranks")
    _, pairs = of("agreement of the metrics")
    _, halves = of("agreement of a metric with itself")
    figure = new_figure((DOUBLE, 1.2 + 0.165 * len(ranked)))
    figure.suptitle(heading.removesuffix(": ranks"), fontsize=9)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _rank_map(left, ranked)
    _agreement(right, pairs, halves)
    return [_save(figure, name)]


def _rank_map(ax: Axes, rows: Rows) -> None:
    """Ranks as numbers on colours, 1 the darkest."""
    metrics = [column for column in rows[0] if column not in ("method", "mean rank")]
    ranks = np.array([[interval(row[m])[0] for m in metrics] for row in rows])
    ax.imshow(ranks, cmap="Blues_r", aspect="auto", vmin=-2, vmax=len(rows) * 1.12)
    for (i, j), rank in np.ndenumerate(ranks):
        ink = "white" if rank < len(rows) / 2.4 else "#222222"
        ax.text(j, i, f"{rank:g}", ha="center", va="center", fontsize=6.5, color=ink)
    ax.set_xticks(range(len(metrics)), [m.replace(" ", "\n", 1) for m in metrics])
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), [row["method"] for row in rows])
    ax.tick_params(length=0, labelsize=6.5, labelcolor=GREY)
    for label in ax.get_yticklabels():
        if label.get_text().startswith("control"):
            label.set(color="#d55e00", style="italic")
    ax.spines[:].set_visible(False)
    ax.set_title(f"Rank of {len(rows)} maps, 1 is the best", fontsize=8)


def _agreement(ax: Axes, pairs: Rows, halves: Rows) -> None:
    """Kendall's τ of each pair of metrics, and of a metric on halves of the images."""
    column, sizes = list(pairs[0])[1], list(halves[0])[1]
    pairs = sorted(pairs, key=lambda row: -interval(row[column])[0])
    groups = (
        (pairs, "pair", column, f"Two metrics, {column}"),
        (halves, "metric", sizes, "One metric, two halves"),
    )
    place, names = 0.0, []
    for i, (rows, label, value, title) in enumerate(groups):
        ax.text(-1, place, title, fontsize=7, color=LINES[i], va="center")
        places = place + 1 + np.arange(len(rows))
        middle, low, high = np.array([interval(row[value]) for row in rows]).T
        ax.errorbar(
            middle,
            places,
            xerr=[np.maximum(middle - low, 0), np.maximum(high - middle, 0)],
            fmt="os"[i],
            markersize=4,
            linewidth=1.2,
            color=LINES[i],
        )
        names += [*zip(places, [row[label].replace(", ", " and ") for row in rows])]
        place += len(rows) + 1.4
    ax.axvline(0, color="#999999", linewidth=0.8, zorder=0)
    ax.set_yticks(*zip(*names))
    ax.set_ylim(place - 0.8, -0.6)
    ax.set_xlim(-1.02, 1.02)
    frame(ax, grid="x")
    ax.tick_params(labelsize=6.5)
    ax.tick_params(length=0, axis="y")
    ax.set_title("Agreement of two rankings", fontsize=8, pad=26)
    ax.set_xlabel("Kendall's τ\n(1: the same order)", fontsize=7, color=GREY)


DRAWN: Mapping[str, Callable[[str], list[str]]] = {
    "study_faithfulness": faithfulness,
    "study_faithfulness_zoo": faithfulness,
    "study_metrics": metrics_study,
    "study_localization": boundary_study,
    "study_boundary": boundary_study,
    "spectral_importance_sampling": sampling,
    "study_spectral": spectral,
}
"""Name of a result to what draws its figures."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", choices=[*DRAWN, []], help="by default all")
    for name in parser.parse_args().only or DRAWN:
        print(name, *DRAWN[name](name))


if __name__ == "__main__":
    main()
