"""The tables and figures of ``jaxattr robustness``."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxattr import plots
from jaxattr.evaluation.robustness.gather import MethodRobustness
from jaxattr.evaluation.robustness.settings import Settings
from jaxattr.evaluation.runs import figures
from jaxattr.evaluation.runs.files import file_names
from jaxattr.evaluation.runs.tables import Cell, Table, TextTable, write_csv
from jaxattr.metrics import chance_corrected


def summary(results: Sequence[MethodRobustness], settings: Settings) -> Table:
    """A row a method, attack and ε: mean scores, chance levels, chance-corrected."""
    nulls = list(results[0].chance)
    drawn = list(results[0].chance[nulls[0]])
    header = ["method", "attack", "epsilon", "moved"]
    for name in drawn:
        header += [name, *(f"{name}_chance_{null}" for null in nulls)]
        header += [f"{name}_above_{nulls[-1]}"]
    others = ["lens_precision", "spearman", "kendall"]
    rows: list[list[Cell]] = []
    for result in results:
        for (attack, epsilon), scores in result.scores.items():
            row: list[Cell] = [result.method, attack, f"{255 * epsilon:g}/255"]
            row.append(float(np.mean(scores["success"])))
            for name in drawn:
                mean = float(np.mean(scores[name]))
                levels = [result.chance[null][name] for null in nulls]
                corrected = chance_corrected(jnp.asarray(mean), jnp.asarray(levels[-1]))
                row += [mean, *levels, float(corrected)]
            rows.append(row + [float(np.mean(scores[name])) for name in others])
    return header + others, rows


def short_summary(results: Sequence[MethodRobustness], settings: Settings) -> TextTable:
    """What fits on a terminal: each score with its highest chance level in brackets."""
    titles, window = panel_titles(settings.window), settings.window
    short = ["top-k", f"{window}-LENS", f"{window}-LENS-div"]
    rows = []
    for result in results:
        for (attack, epsilon), scores in result.scores.items():
            row = [result.method, attack, f"{255 * epsilon:g}"]
            for name in titles:
                level = max(by_score[name] for by_score in result.chance.values())
                row.append(f"{np.mean(scores[name]):.2f} ({level:.2f})")
            row.append(f"{np.mean(scores['kendall']):.2f}")
            rows.append([*row, f"{np.mean(scores['success']):.0%}"])
    return ["method", "attack", "ε/255", *short, "kendall", "moved"], rows


def image_table(results: Sequence[MethodRobustness], names: Sequence[str]) -> Table:
    """A row a method, attack, ε and image; of a method that is not done the first ones."""
    fields = list(next(iter(results[0].scores.values()))) if results else []
    rows: list[list[Cell]] = [
        [r.method, attack, f"{255 * epsilon:g}/255", names[image]]
        + [float(scores[field][i]) for field in fields]
        for r in results
        for (attack, epsilon), scores in r.scores.items()
        for i, image in enumerate(r.index)
    ]
    return ["method", "attack", "epsilon", "file", *fields], rows


def panel_titles(window: int) -> dict[str, str]:
    """The scores that are drawn, and their names for readers."""
    return {
        "top_k": "top-k intersection",
        "lens_recall": f"{window}-LENS recall",
        "lens_recall_diverse": f"diverse {window}-LENS recall",
    }


def write_report(
    folder: pathlib.Path,
    results: Sequence[MethodRobustness],
    names: Sequence[str],
    settings: Settings,
    figure_files: figures.FigureFiles = figures.DEFAULT,
) -> None:
    """Writes ``images.csv``, ``summary.csv`` and ``METHOD.png``."""
    write_csv(folder / "summary.csv", *summary(results, settings))
    write_csv(folder / "images.csv", *image_table(results, names))
    titles = panel_titles(settings.window)
    stems = file_names(r.method for r in results)
    for r in results:
        values = {
            title: {
                attack.replace("_", " "): np.stack(
                    [r.scores[attack, e][name] for e in settings.epsilons]
                )
                for attack in settings.attacks
            }
            for name, title in titles.items()
        }
        chance = {
            title: {null: of_score[name] for null, of_score in r.chance.items()}
            for name, title in titles.items()
        }
        size = plots.panels_size(len(titles))
        with figures.one_figure(
            folder / f"{stems[r.method]}.png", size, figure_files
        ) as figure:
            plots.agreement_panels(
                settings.epsilons,
                values,
                chance=chance,
                title=f"{figures.method_title(r.method)}, {len(r.index):,} photographs; "
                f"k = {settings.k} pixels, 1: the map is as it was",
                figure=figure,
            )
