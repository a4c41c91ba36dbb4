"""The page of ``jaxattr evaluate``: tables, mean curves, best and worst photographs."""

from __future__ import annotations

import numpy as np

from jaxattr.evaluation.runs.figures import method_title
from jaxattr.photographs.reading import read_photograph
from jaxattr.report import pictures, tables
from jaxattr.report.blocks import (
    Block,
    Chart,
    Charts,
    Gallery,
    Map,
    Page,
    Photograph,
    Score,
    Series,
    number,
)
from jaxattr.report.explain import thinned
from jaxattr.report.kinds import Folder

LOWER_IS_BETTER = ("deletion", "infidelity")


def page(folder: Folder) -> Page:
    """Reads ``summary.csv``, ``images.csv`` and ``curves.npz``.

    Raises:
      ValueError: a table that cannot be read, or none.
    """
    header, rows = tables.read(folder.path / "images.csv")
    if not rows:
        raise ValueError(f"{folder.path}: no photograph has been scored yet")
    summary_header, summary = tables.read(folder.path / "summary.csv")
    warnings = missing(folder, rows, bool(summary))
    blocks: list[Block] = []
    if summary:
        note = (
            "Means over the photographs with 95 % intervals of a paired bootstrap; "
            "differences are to the method under “reference”. Insertion: higher is "
            "better; deletion and infidelity: lower is better."
        )
        blocks.append(tables.as_table("Scores", summary_header, summary, note))
    blocks += _curves(folder)
    for model in dict.fromkeys(row["model"] for row in rows):
        blocks.append(_gallery(folder, model, [r for r in rows if r["model"] == model]))
    blocks.append(tables.as_table("All photographs", header, rows))
    files = {row["file"] for row in rows}
    methods = list(dict.fromkeys(method_title(row["method"]) for row in rows))
    models = ", ".join(dict.fromkeys(row["model"] for row in rows))
    return Page(
        f"Evaluation: {len(methods)} methods, {len(files)} photographs",
        f"{', '.join(methods)} on {models}.",
        warnings,
        blocks,
        [],
    )


def missing(folder: Folder, rows: list[dict[str, str]], has_summary: bool) -> list[str]:
    """What a run that was stopped has not done, in sentences."""
    settings = folder.settings
    warnings = []
    if not has_summary:
        warnings.append("The run is not finished: there is no summary yet.")
    done: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        done.setdefault((row["model"], row["method"]), set()).add(row["file"])
    count = settings.get("photographs", {}).get("count", 0)
    asked = [
        (model, method)
        for model in settings.get("models", {})
        for method in settings.get("methods", {})
    ]
    for model, method in asked:
        there = len(done.get((model, method), ()))
        if there < count:
            warnings.append(
                f"{method_title(method)} on {model}: {there} of {count} photographs are "
                "scored."
            )
    return warnings


def _curves(folder: Folder) -> list[Block]:
    path = folder.path / "curves.npz"
    if not path.is_file():
        return []
    charts: dict[str, list[Series]] = {}
    with np.load(path, allow_pickle=False) as archive:
        for name in archive.files:
            model, method, title = name.split("\n")
            mean, low, high = (thinned(line) for line in archive[name])
            x = [float(v) for v in np.linspace(0, 1, len(mean))]
            series = Series(method_title(method), x, mean, low, high)
            charts.setdefault(f"{model}: {title}", []).append(series)
    drawn = [
        Chart(title, f"share of the pixels {_verb(title)}", "mean probability", series)
        for title, series in charts.items()
    ]
    note = "Means over the photographs; the bands are where the mean may lie (95 %)."
    return [Charts("Curves", drawn, note)] if drawn else []


def _verb(title: str) -> str:
    return "removed" if "deletion" in title else "shown"


def _gallery(folder: Folder, model: str, rows: list[dict[str, str]]) -> Gallery:
    """The photographs of a model, with the scores of its methods."""
    by_file: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row)
    metric = lambda row: f"{row['metric']} ({row['protocol'].split(',')[0]})"
    names = list(dict.fromkeys(metric(row) for row in rows))
    several = len({row["metric"] for row in rows}) < len(names)
    title = (lambda row: metric(row)) if several else (lambda row: row["metric"])
    scores = {title(row): row["metric"] not in LOWER_IS_BETTER for row in rows}
    scale = pictures.fitting(len(by_file))
    photographs = []
    for file, own in by_file.items():
        maps: dict[str, dict[str, float | None]] = {}
        for row in own:
            of = maps.setdefault(method_title(row["method"]), {})
            of[title(row)] = number(row["score"])
        first = own[0]
        facts = {"explained class": first["class"], "predicted": first["predicted"]}
        probability = number(first["probability"])
        facts["probability"] = "–" if probability is None else f"{probability:.1%}"
        shown = len(photographs) < scale.most
        photographs.append(
            Photograph(
                file,
                f"class {first['class']}",
                _thumbnail(folder, file, scale.side) if shown else "",
                facts,
                {method: Map("", 0.0, found) for method, found in maps.items()},
            )
        )
    methods = list(dict.fromkeys(method_title(row["method"]) for row in rows))
    shown_scores = [Score(name, better) for name, better in scores.items()]
    note = "Order by a score to see the best and the worst photographs of a method."
    return Gallery(
        f"Photographs: {model}", methods, shown_scores, photographs, "", note
    )


def _thumbnail(folder: Folder, file: str, side: int) -> str:
    source = folder.source
    path = source / file if source is not None else None
    if path is None or not path.is_file():
        return ""
    try:
        image = read_photograph(path)
    except ValueError:
        return ""
    image.draft("RGB", (2 * side, 2 * side))
    image.thumbnail((2 * side, 2 * side))
    return pictures.photograph(np.asarray(image.convert("RGB")) / 255, side)
