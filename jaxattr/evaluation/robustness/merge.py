"""A folder of results of robustness: its settings, and tables from what was kept."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

import jaxattr
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.methods.requests import Options, method_record
from jaxattr.evaluation.robustness import outputs
from jaxattr.evaluation.robustness.gather import MethodRobustness, Tables, gather
from jaxattr.evaluation.robustness.settings import Settings
from jaxattr.evaluation.runs import manifest
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.merging import lacking_line
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.settings import claim, read_settings

GROWING = ("methods", "attacks", "epsilons", "tables")
"""Sections of the settings that later calls may add to."""


def claim_folder(
    out: pathlib.Path,
    settings: Settings,
    model: Mapping[str, object],
    methods: Mapping[str, tuple[Method, Options]],
    tables: Mapping[str, Tables],
) -> None:
    """Makes a folder of results, or sees that it has results of these settings.

    Args:
      out: the folder.
      settings: what is done.
      model: what tells the classifier and its twin from others, as JSON takes it.
      methods: name to method and options.
      tables: name of a method to where its rows are.

    Raises:
      ValueError: results of other settings.
      OSError: it cannot be written.
    """
    make_folder(out)
    fixed = settings._asdict()
    listed = {name: fixed.pop(name) for name in ("attacks", "epsilons")}
    fixed.pop("images_per_batch")
    record = {
        "job": "robustness",
        "jaxattr": jaxattr.__version__,
        "model": dict(model),
        **fixed,
        "methods": {name: method_record(*pair) for name, pair in methods.items()},
        "attacks": dict.fromkeys(listed["attacks"], True),
        "epsilons": {f"{255 * e:.8g}/255": e for e in listed["epsilons"]},
        "tables": {name: [*(rows.mark for rows in of)] for name, of in tables.items()},
    }
    claim(out, record, may_grow=GROWING)
    make_folder(out / "parts")


class Merged(NamedTuple):
    """What there is, and what there is not."""

    results: list[MethodRobustness]
    settings: Settings
    missing: tuple[str, ...]
    """A line for each method that lacks photographs."""


def merge(out: pathlib.Path, figure_files: FigureFiles = DEFAULT) -> Merged:
    """Writes the tables and figures of all that was kept in a folder.

    Args:
      out: the folder of results.
      figure_files: formats, resolution and colours of the figures.

    Raises:
      ValueError: no results, or none of any photograph.
    """
    there = read_settings(out)
    fields = {name: there[name] for name in Settings._fields if name in there}
    fields["attacks"] = tuple(there["attacks"])
    fields["epsilons"] = tuple(there["epsilons"].values())
    settings = Settings(**fields)
    known, _ = manifest.load(out)
    names = tuple(manifest.with_places(known))
    files, places = RowFiles(out / "parts"), np.arange(len(names))
    results, missing = [], []
    for name, marks in there["tables"].items():
        tables = Tables(*(files.marked("", mark) for mark in marks))
        found = gather(name, tables, settings, places)
        if len(found.lacking):
            missing.append(lacking_line(name, names, found.lacking))
        if len(found.result.index):
            results.append(found.result)
    if not results:
        raise ValueError(f"{out}: no photograph has all scores of a method yet")
    outputs.write_report(out, results, names, settings, figure_files)
    return Merged(results, settings, tuple(missing))
