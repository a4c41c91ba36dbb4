"""The tables and figures of ``jaxattr evaluate``."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from jaxattr import plots
from jaxattr.evaluation.evaluate.results import (
    Evaluation,
    MethodScores,
    MetricTitle,
)
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.runs import figures
from jaxattr.evaluation.runs.files import file_names
from jaxattr.evaluation.runs.tables import count_rows, write_csv


def write_images(folder: pathlib.Path, evaluation: Evaluation) -> None:
    """Writes ``images.csv`` of an evaluation that is not done.

    One that goes on from where it was leaves the table there until it has more rows.
    """
    per_image = len(evaluation.metrics)
    count = sum(per_image * len(r.labels) for r in evaluation.results)
    if count > count_rows(folder / "images.csv"):
        write_csv(folder / "images.csv", evaluation.header(), evaluation.rows())


def write_report(
    folder: pathlib.Path,
    evaluation: Evaluation,
    figure_files: figures.FigureFiles = figures.DEFAULT,
) -> None:
    """Writes ``images.csv``, ``summary.csv`` and the figures of each model.

    What a second run would not repeat to the byte is apart, in ``timings.csv``.
    ``MODEL.curves.png`` has the mean curves with bands, ``MODEL.bars.png`` a bar a
    method with its interval.
    """
    write_csv(folder / "images.csv", evaluation.header(), evaluation.rows())
    write_csv(folder / "summary.csv", *evaluation.summary())
    write_csv(folder / "timings.csv", *evaluation.timings())
    if any(metric.xlabel for metric in evaluation.metrics):
        write_csv(folder / "curves.csv", *evaluation.curves())
    models = dict.fromkeys(r.model for r in evaluation.results)
    for model, name in file_names(models).items():
        _draw_bars(folder / f"{name}.bars.png", evaluation, model, figure_files)
        if any(metric.xlabel for metric in evaluation.metrics):
            _draw_curves(folder / f"{name}.curves.png", evaluation, model, figure_files)


def _draw_curves(
    path: pathlib.Path, evaluation: Evaluation, model: str, files: figures.FigureFiles
) -> None:
    drawn = [i for i, m in enumerate(evaluation.metrics) if m.xlabel]
    results = [r for r in evaluation.results if r.model == model]
    columns = min(2, len(drawn))
    lines = -(-len(drawn) // columns)
    width, height = plots.curves_size(len(results))
    size = width * columns, 0.3 + (height + 0.2) * lines
    with figures.one_figure(path, size, files) as figure:
        figure.suptitle(_over(model, results), fontsize=11)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax in axes[len(drawn) :]:
            ax.set_visible(False)
        for i, ax in zip(drawn, axes):
            metric = evaluation.metrics[i]
            plots.curves(
                {_name(r.method): band for r in results if (band := r.bands[i])},
                ax,
                title=_title(metric),
                xlabel=metric.xlabel,
                better=metric.better,
                ylabel="mean probability of the class",
            )


def _draw_bars(
    path: pathlib.Path, evaluation: Evaluation, model: str, files: figures.FigureFiles
) -> None:
    header, rows = evaluation.summary()
    of_model = [dict(zip(header, row)) for row in rows if row[0] == model]
    num_methods = len(of_model) // len(evaluation.metrics)
    size = 1.6 + 3.2 * len(evaluation.metrics), 1.2 + 0.26 * num_methods
    with figures.one_figure(path, size, files) as figure:
        results = [r for r in evaluation.results if r.model == model]
        figure.suptitle(_over(model, results), fontsize=11)
        axes = figure.subplots(1, len(evaluation.metrics), sharey=True, squeeze=False)
        for i, (metric, ax) in enumerate(zip(evaluation.metrics, axes[0])):
            bars = of_model[i * num_methods : (i + 1) * num_methods]
            plots.score_bars(
                [_name(str(row["method"])) for row in bars],
                np.array([row["mean"] for row in bars]),
                np.array([[row["low"], row["high"]] for row in bars]),
                ax,
                title=_title(metric),
                xlabel=f"{metric.better} is better" if metric.better else None,
            )


def _over(model: str, results: Sequence[MethodScores]) -> str:
    """What stands above a figure: the model, and over how many photographs."""
    count = len(results[0].labels)
    return f"{model}, {count:,} photograph{'s' * (count != 1)}"


def _title(metric: MetricTitle) -> str:
    name = metric.name.replace("_", " ").capitalize()
    return f"{name}\n{metric.subtitle}".strip()


def _name(label: str) -> str:
    """A title for registered names; labels of callers stay as they are."""
    return figures.method_title(label) if label in registry.methods() else label
