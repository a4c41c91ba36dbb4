"""What decides the results of ``evaluate``, for its ``settings.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import jaxattr
from jaxattr._locations import as_path
from jaxattr.evaluation.evaluate.gather import Tables
from jaxattr.evaluation.evaluate.job import Job
from jaxattr.evaluation.evaluate.metrics import metrics_record
from jaxattr.evaluation.methods.requests import Requests, method_record
from jaxattr.evaluation.runs.image_sets import ImageSet, PhotographFolder
from jaxattr.evaluation.runs.models import identity
from jaxattr.evaluation.runs.settings import read_settings
from jaxattr.typing import LogitsFn

GROWING = ("models", "methods", "metrics", "tables", "class_names")
"""Sections of the settings that later calls may add to."""


def good_marks(out: str | os.PathLike[str] | None) -> set[object]:
    """Of tables of methods whose options have been checked, in an earlier call."""
    folder = None if out is None else as_path(out, shared=True)
    if folder is None or not (folder / "settings.json").exists():
        return set()
    known = read_settings(folder).get("tables")
    return set(known.values()) if isinstance(known, dict) else set()


def about(model: LogitsFn) -> dict[str, object]:
    """What tells a model from others; of one of the zoo also its preprocessing."""
    preprocessing = getattr(getattr(model, "config", None), "preprocessing", None)
    return {"preprocessing": preprocessing, "weights": identity(model)}


def settings_record(
    job: Job,
    models: Mapping[str, LogitsFn],
    prepared: Mapping[str, Requests],
    tables: Mapping[str, Tables],
    source: ImageSet | PhotographFolder,
) -> dict[str, object]:
    """All that decides the results, for ``settings.json``."""
    first = next(iter(prepared.values()))
    # References are the same photographs for every model, in its own size.
    return {
        "job": "evaluate",
        "jaxattr": jaxattr.__version__,
        "models": {name: about(model) for name, model in models.items()},
        "methods": {label: method_record(*pair) for label, pair in first.items()},
        **job.record(),
        "metrics": metrics_record(job.metrics),
        "photographs": source.record if isinstance(source, ImageSet) else {},
        "tables": {
            json.dumps([name, *label]): mark
            for name, of in tables.items()
            for label, mark in of.marks().items()
        },
        "class_names": {
            name: [*names]
            for name, model in models.items()
            if (names := getattr(model, "labels", None))
        },
    }
