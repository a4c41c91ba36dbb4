"""The page of ``jaxattr evaluate``: tables, mean curves, best and worst photographs."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping

from jaxattr.evaluation.evaluate.report_maps import (
    ReportMap,
    load_report_maps,
    report_folders,
)
from jaxattr.evaluation.runs import manifest, pictures
from jaxattr.evaluation.runs.figures import method_title
from jaxattr.report import tables
from jaxattr.report.blocks import (
    Block,
    Chart,
    Charts,
    Gallery,
    Map,
    Number,
    Page,
    Photograph,
    Score,
    Series,
    number,
)
from jaxattr.report.kinds import Folder
from jaxattr.report.tables import Rows

MOST_PHOTOGRAPHS = 1000
"""Of a gallery: of more, the best and the worst by each score and method are shown."""

_KNOWN = {"insertion": True, "deletion": False, "infidelity": False}
"""Whether higher scores are better, for runs that are not finished."""
_NEEDS = ("model", "method", "file", "class", "predicted", "probability", "metric")


def page(folder: Folder) -> Page:
    """Reads ``summary.csv``, ``images.csv`` and ``curves.csv``.

    Raises:
      ValueError: a table that cannot be read, or none.
    """
    header, rows = tables.read(folder.path / "images.csv", (*_NEEDS, "score"))
    if not rows:
        raise folder.unfinished("images.csv")
    summary_header, summary = tables.read(folder.path / "summary.csv")
    blocks: list[Block] = []
    if summary:
        note = (
            "Means over the photographs with 95 % intervals of a paired bootstrap; "
            "“better” says which means are."
        )
        blocks.append(tables.as_table("Scores", summary_header, summary, note))
    blocks += _curves(folder)
    words = {"higher": True, "lower": False}
    better = {row["metric"]: words.get(row.get("better", "")) for row in summary}
    models: dict[str, Rows] = {}
    for row in rows:
        models.setdefault(row["model"], []).append(row)
    missing = _missing(folder, rows, bool(summary))
    folders = report_folders(folder.path, models)
    for model, own in models.items():
        shown, unread = load_report_maps(
            folders[model], dict.fromkeys(row["method"] for row in own)
        )
        missing += unread
        blocks.append(_gallery(folder, model, own, len(models), better, shown))
    blocks.append(tables.as_table("All photographs", header, rows))
    files = len({row["file"] for row in rows})
    methods = [method_title(m) for m in folder.in_order(row["method"] for row in rows)]
    return Page(
        f"Evaluation: {len(methods)} method{'s' * (len(methods) != 1)}, "
        f"{files:,} photograph{'s' * (files != 1)}",
        f"{', '.join(methods)} on {', '.join(models)}.",
        missing,
        blocks,
        [],
    )


def _missing(folder: Folder, rows: Rows, has_summary: bool) -> list[str]:
    """What a run that was stopped has not done, in sentences."""
    found = []
    if not has_summary:
        found.append(
            "The run is not finished: there is no summary yet. Start the same command "
            "again, and it goes on where it was."
        )
    done: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        done.setdefault((row["model"], row["method"]), set()).add(row["file"])
    listed, _ = manifest.load(folder.path)
    photographs = folder.settings.get("photographs", {})
    count = len(manifest.with_places(listed)) or photographs.get("count", 0)
    for model in folder.settings.get("models", {}):
        for method in folder.settings.get("methods", {}):
            there = len(done.get((model, method), ()))
            if there < count:
                found.append(
                    f"{method_title(method)} on {model}: {there:,} of {count:,} "
                    "photographs are scored."
                )
    return found


def _curves(folder: Folder) -> list[Block]:
    """The mean curves of ``curves.csv``, a chart a model, metric and protocol."""
    needs = ("model", "method", "metric", "protocol", "share", "mean", "low", "high")
    _, rows = tables.read(folder.path / "curves.csv", needs)
    charts: dict[tuple[str, str, str], dict[str, Rows]] = {}
    for row in rows:
        which = (row["model"], row["metric"], row["protocol"])
        charts.setdefault(which, {}).setdefault(row["method"], []).append(row)
    if not charts:
        return []
    drawn = [
        Chart(
            f"{model}: {metric}",
            f"share of the pixels {'removed' if metric == 'deletion' else 'shown'}",
            "mean probability of the class",
            [_series(name, of[name]) for name in folder.in_order(of)],
            protocol,
        )
        for (model, metric, protocol), of in charts.items()
    ]
    note = "Means over the photographs; the bands are where the mean may lie (95 %)."
    return [Charts("Curves", drawn, note)]


def _series(method: str, rows: Rows) -> Series:
    step = max(1, (len(rows) - 1) // 56)
    kept = rows[::step] if (len(rows) - 1) % step == 0 else [*rows[::step], rows[-1]]
    column = lambda name: [number(row[name]) for row in kept]
    x = [value or 0.0 for value in column("share")]
    return Series(
        method_title(method), x, column("mean"), column("low"), column("high")
    )


def _gallery(
    folder: Folder,
    model: str,
    rows: Rows,
    num_models: int,
    better: Mapping[str, bool | None],
    shown: Mapping[str, ReportMap],
) -> Gallery:
    """The photographs of a model, with the scores of its methods."""
    titles = _metric_titles(rows)
    scores: dict[str, dict[str, dict[str, Number]]] = {}
    first: dict[str, Mapping[str, str]] = {}
    for row in rows:
        first.setdefault(row["file"], row)
        of = scores.setdefault(row["file"], {}).setdefault(row["method"], {})
        of[titles[_metric(row)]] = number(row["score"])
    metrics = {titles[_metric(row)]: row["metric"] for row in rows}
    draw = lambda file, side: _photograph(
        folder, first[file], scores[file], shown.get(file), side
    )
    chosen = best_and_worst(scores, MOST_PHOTOGRAPHS, shown)
    groups = [[f for f in chosen if (f in shown) is with_maps] for with_maps in (1, 0)]
    samples = [pictures.sample(group) for group in groups]

    def bytes_of(side: int) -> float:
        """The mean over those with maps and those without."""
        total = sum(
            len(group) / len(some) * sum(len(json.dumps(draw(f, side))) for f in some)
            for group, some in zip(groups, samples, strict=True)
            if some
        )
        return num_models * total / len(chosen)

    side, count = pictures.fitting(len(chosen), bytes_of)
    chosen = best_and_worst(scores, min(count, MOST_PHOTOGRAPHS), shown)
    photographs = [draw(file, side) for file in chosen]
    methods = folder.in_order(row["method"] for row in rows)
    note = "Order by a score to see the best and the worst photographs of a method"
    note += (
        f"; the {len(shown)} at both ends have maps, the others only scores."
        if shown
        else "."
    )
    if len(chosen) < len(scores):
        note += (
            f" {len(chosen):,} of {len(scores):,} photographs: the best and the worst by "
            "each score and method, and the first ones."
        )
    return Gallery(
        f"Photographs: {model}",
        [method_title(method) for method in methods],
        [Score(name, better.get(of, _KNOWN.get(of))) for name, of in metrics.items()],
        photographs,
        note=note,
    )


def best_and_worst(
    scores: Mapping[str, Mapping[str, Mapping[str, Number]]],
    most: int,
    before: Iterable[str] = (),
) -> list[str]:
    """Files to be shown, in their order: both ends by each score, then the first ones.

    Args:
      scores: file to method to score to number.
      most: how many files.
      before: files that go before all of these.

    >>> scores = {str(i): {"m": {"s": float(i)}} for i in range(10)}
    >>> best_and_worst(scores, 4)
    ['0', '1', '8', '9']
    """
    if len(scores) <= most:
        return list(scores)
    columns: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for file, of in scores.items():
        for method, values in of.items():
            for name, value in values.items():
                if value is not None:
                    columns.setdefault((method, name), []).append((value, file))
    each = max(1, most // (2 * max(1, len(columns))))
    chosen = dict.fromkeys(file for file in before if file in scores)
    for column in columns.values():
        column.sort()
        ends = [*column[:each], *column[-each:]]
        chosen |= dict.fromkeys(file for _, file in ends)
    chosen = dict.fromkeys([*list(chosen)[:most], *scores])
    kept = set(list(chosen)[:most])
    return [file for file in scores if file in kept]


def _metric(row: Mapping[str, str]) -> tuple[str, str]:
    return row["metric"], row.get("protocol", "")


def _metric_titles(rows: Rows) -> dict[tuple[str, str], str]:
    """Metric and protocol to a name: that of the metric, with what tells it apart."""
    found = list(dict.fromkeys(_metric(row) for row in rows))
    names = [name for name, _ in found]
    short = lambda name, protocol: f"{name} ({protocol.split(',')[0]})"
    shorts = [short(*pair) for pair in found]
    titles = {}
    for pair in found:
        name, protocol = pair
        if names.count(name) == 1:
            titles[pair] = name
        elif shorts.count(short(*pair)) == 1:
            titles[pair] = short(*pair)
        else:
            titles[pair] = f"{name} ({protocol})"
    return titles


def _photograph(
    folder: Folder,
    row: Mapping[str, str],
    scores: Mapping[str, Mapping[str, Number]],
    shown: ReportMap | None,
    side: int,
) -> Photograph:
    name = row.get("class_name") or f"class {row['class']}"
    facts = {}
    if row["predicted"] != row["class"]:
        facts["predicted"] = row.get("predicted_name") or f"class {row['predicted']}"
    probability = number(row["probability"])
    known = "" if probability is None else f", {probability:.1%}"
    maps = {method_title(m): Map("", 0.0, found) for m, found in scores.items()}
    if shown is not None:
        picture = pictures.photograph(shown.photograph / 255, side)
        for method, (values, limit) in shown.maps.items():
            over, _ = pictures.overlay(values, side, 127.0)
            drawn = Map(over, limit, scores.get(method, {}))
            maps[method_title(method)] = drawn
    else:
        inside = pathlib.PurePosixPath(row["file"])
        path = None
        # A table may say anything: no file from elsewhere gets into the report.
        if folder.source and not inside.is_absolute() and ".." not in inside.parts:
            path = folder.source / inside
        picture = pictures.thumbnail(path, side) if path is not None else ""
    return Photograph(row["file"], f"{name}{known}", picture, facts, maps)
