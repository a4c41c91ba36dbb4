"""A folder of results of spectrum: its settings, and tables from what was kept."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

import jaxattr
from jaxattr.evaluation.runs import manifest
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.merging import lacking_line
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.settings import claim, read_settings
from jaxattr.evaluation.spectrum import outputs
from jaxattr.evaluation.spectrum.gather import ModelSpectrum, Table, Tables, gather
from jaxattr.evaluation.spectrum.settings import Settings
from jaxattr.evaluation.spectrum.spectrum import mean_corruption_errors
from jaxattr.typing import LogitsFn

GROWING = ("models", "measured", "tables")
"""Sections of the settings that later calls may add to."""


def claim_folder(
    out: pathlib.Path,
    settings: Settings,
    models: Mapping[str, LogitsFn],
    tables: Mapping[str, Tables],
    reference: str | None,
) -> None:
    """Makes a folder of results, or sees that it has results of these settings.

    Args:
      out: the folder.
      settings: what is measured.
      models: name to model.
      tables: name of a model to where its rows are.
      reference: of the mean corruption error, where it is measured.

    Raises:
      ValueError: results of other settings.
      OSError: it cannot be written.
    """
    make_folder(out)
    fixed = settings._asdict()
    for name in ("corrupted", "attacked", "images_per_batch"):
        fixed.pop(name)
    first = next(iter(tables.values()))
    measured: dict[str, object] = {kind: [*t.columns] for kind, t in first.items()}
    if reference is not None:
        measured["reference"] = reference
    record = {
        "job": "spectrum",
        "jaxattr": jaxattr.__version__,
        **fixed,
        "models": {name: digest(model) for name, model in models.items()},
        "measured": measured,
        "tables": {
            json.dumps([name, kind]): table.rows.mark
            for name, of in tables.items()
            for kind, table in of.items()
        },
    }
    claim(out, record, may_grow=GROWING)
    make_folder(out / "parts")


class Merged(NamedTuple):
    """What there is, and what there is not."""

    spectra: list[ModelSpectrum]
    mce: dict[str, float] | None
    missing: tuple[str, ...]
    """A line for each model that lacks photographs."""


def merge(out: pathlib.Path, figure_files: FigureFiles = DEFAULT) -> Merged:
    """Writes the tables and figures of all that was kept in a folder.

    Args:
      out: the folder of results.
      figure_files: formats, resolution and colours of the figures.

    Raises:
      ValueError: no results, or none of any photograph.
    """
    there = read_settings(out)
    measured = dict(there["measured"])
    reference = measured.pop("reference", None)
    known, _ = manifest.load(out)
    names = tuple(manifest.with_places(known))
    files, places = RowFiles(out / "parts"), np.arange(len(names))
    spectra, missing = [], []
    for name in there["models"]:
        mark_of = lambda kind: there["tables"].get(json.dumps([name, kind]), "")
        tables = {
            kind: Table(files.marked("", mark_of(kind)), tuple(columns))
            for kind, columns in measured.items()
        }
        found = gather(name, tables, places)
        if len(found.lacking):
            missing.append(lacking_line(name, names, found.lacking))
        if found.spectrum is not None:
            spectra.append(found.spectrum)
    if not spectra:
        raise ValueError(f"{out}: no photograph has all results of a model yet")
    mce = None
    if reference is not None and all(s.errors is not None for s in spectra):
        mce = mean_corruption_errors(spectra, reference)
    outputs.write_report(out, spectra, mce, figure_files)
    return Merged(spectra, mce, tuple(missing))
