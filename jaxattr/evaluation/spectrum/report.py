"""The tables and figures of ``jaxattr spectrum``."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxattr import attributions, plots
from jaxattr.evaluation.runs import figures
from jaxattr.evaluation.runs.files import atomic_write, file_names
from jaxattr.evaluation.runs.parts import write_arrays
from jaxattr.evaluation.runs.tables import Cell, Table, TextTable, write_csv
from jaxattr.evaluation.spectrum.gather import ModelSpectrum


def band_table(spectra: Sequence[ModelSpectrum]) -> Table:
    """A row a model and band: value, its error, share of the distribution, images."""
    header = ["model", "band", "value", "standard_error", "share", "images"]
    rows: list[list[Cell]] = [
        [s.name, band, float(value), float(error), float(share), len(s.correct)]
        for s in spectra
        for band, (value, error, share) in enumerate(
            zip(
                s.importance.values,
                s.importance.standard_error,
                s.importance.distribution,
                strict=True,
            )
        )
    ]
    return header, rows


def score_table(
    spectra: Sequence[ModelSpectrum], mce: dict[str, float] | None
) -> Table:
    """A row a model: scores, accuracy, and mCE where it was measured."""
    header = ["model", "images", "accuracy", "score", "signed_score"]
    rows: list[list[Cell]] = []
    for s in spectra:
        share = jnp.asarray(s.importance.distribution)
        signed = float(attributions.spectral_score(share, signed=True))
        row: list[Cell] = [s.name, len(s.correct), float(s.correct.mean())]
        rows.append([*row, float(s.importance.score), signed])
        if mce is not None:
            assert s.errors is not None
            rows[-1] += [float(s.errors.mean()), mce[s.name]]
    return header + (["corruption_error", "mce"] if mce is not None else []), rows


def as_text(header: list[str], rows: list[list[Cell]]) -> TextTable:
    """A table for ``format_table``: four digits after the point."""
    shown = [[f"{v:.4f}" if isinstance(v, float) else str(v) for v in r] for r in rows]
    return header, shown


def _over(spectra: Sequence[ModelSpectrum]) -> str:
    """What stands above a figure: the model if it is one, and how many photographs."""
    count = len(spectra[0].correct)
    names = [spectra[0].name] if len(spectra) == 1 else []
    return ", ".join([*names, f"{count:,} photograph{'s' * (count != 1)}"])


def write_report(
    folder: pathlib.Path,
    spectra: Sequence[ModelSpectrum],
    mce: dict[str, float] | None,
    figure_files: figures.FigureFiles = figures.DEFAULT,
) -> None:
    """Writes ``bands.csv``, ``scores.csv``, ``MODEL.npz`` and the figures."""
    write_csv(folder / "bands.csv", *band_table(spectra))
    write_csv(folder / "scores.csv", *score_table(spectra, mce))
    names = file_names(s.name for s in spectra)
    for s in spectra:
        arrays = {**s.importance._asdict(), "interactions": s.interactions}
        with atomic_write(folder / f"{names[s.name]}.npz") as file:
            write_arrays(file, {**arrays, "correct": s.correct})
    lines = {
        s.name: (s.importance.values, s.importance.standard_error) for s in spectra
    }
    with figures.one_panel(folder / "importance.png", (4.6, 3.6), figure_files) as ax:
        plots.band_importance(lines, ax, title=_over(spectra))
    for s in spectra:
        with figures.one_panel(
            folder / f"{names[s.name]}.spread.png", (4.6, 3.6), figure_files
        ) as ax:
            plots.importance_spread(s.importance.per_image, ax, title=_over([s]))
        with figures.one_panel(
            folder / f"{names[s.name]}.interactions.png", (4.4, 3.6), figure_files
        ) as ax:
            plots.interaction_map(s.interactions, ax, title=_over([s]))
    if mce is not None:
        _, rows = score_table(spectra, mce)
        with figures.one_panel(folder / "mce.png", (4.8, 3.6), figure_files) as ax:
            plots.score_against(
                [s.name for s in spectra],
                np.array([r[4] for r in rows], float),
                np.array([r[-1] for r in rows], float),
                ax,
                title=_over(spectra),
            )
