"""The tables of an evaluation that many processes made, from what they kept."""

from __future__ import annotations

import json
import pathlib
from typing import NamedTuple

import numpy as np

from jaxattr.evaluation.evaluate import outputs
from jaxattr.evaluation.evaluate.gather import Tables, gather
from jaxattr.evaluation.evaluate.metric import Title
from jaxattr.evaluation.evaluate.results import Evaluation, MethodScores
from jaxattr.evaluation.runs import manifest
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.merging import lacking_line
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.settings import read_settings


class Merged(NamedTuple):
    """What there is, and what there is not."""

    evaluation: Evaluation
    missing: tuple[str, ...]
    """A line for each method and model that lacks photographs."""


def merge(out: pathlib.Path, figure_files: FigureFiles = DEFAULT) -> Merged:
    """Writes the tables and figures of all that was kept in a folder.

    No model is loaded, and no photograph read. In memory are the scores, not the curves.

    Args:
      out: the folder of results.
      figure_files: formats, resolution and colours of the figures.

    Raises:
      ValueError: no results of ``evaluate``, or none of any photograph.
    """
    settings = read_settings(out)
    known, _ = manifest.load(out)
    names = tuple(manifest.with_places(known))
    if not known:
        names = tuple(map(str, range(settings["photographs"].get("count", 0))))
    files, places = RowFiles(out / "parts"), np.arange(len(names))
    metrics = tuple(
        Title(**{field: record[field] for field in Title._fields})
        for record in settings["metrics"].values()
    )
    results: list[MethodScores] = []
    missing: list[str] = []
    for model in settings["models"]:
        mark_of = lambda *key: settings["tables"].get(json.dumps([model, *key]))
        marks = {m: mark for m in settings["methods"] if (mark := mark_of(m))}
        of_model = gather(
            Tables(
                model,
                files.marked("", mark_of()),
                {method: files.marked("", mark) for method, mark in marks.items()},
                [record["column"] for record in settings["metrics"].values()],
            ),
            places,
        )
        results += of_model.results
        for method, images in of_model.lacking.items():
            missing.append(lacking_line(f"{method} on {model}", names, images))
    broken = tuple(entry.error for entry in known.values() if entry.error)
    classes = {m: settings["class_names"][m] for m in settings.get("class_names", {})}
    evaluation = Evaluation(names, metrics, tuple(results), broken, classes)
    if not results:
        raise ValueError(f"{out}: no photograph is scored by all methods yet")
    outputs.write_report(out, evaluation, figure_files)
    return Merged(evaluation, tuple(missing))
