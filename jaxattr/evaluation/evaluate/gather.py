"""Tables of rows to the scores of a model, a block of images after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxattr import plots
from jaxattr.evaluation.evaluate.results import MethodScores
from jaxattr.evaluation.runs.batches import blocks
from jaxattr.evaluation.runs.rows import Found, Rows

PREDICTIONS, MAPS = "predictions", "maps"
"""Columns: of the table of a model, and of that of a method."""


class Tables(NamedTuple):
    """Where the results of a model are."""

    model: str
    predictions: Rows
    methods: Mapping[str, Rows]
    """Label of a method to its rows."""
    columns: Sequence[str]
    """One a metric."""
    kept: Mapping[str, Rows] = {}
    """Label of a method to its maps, where they are kept or taken."""

    def marks(self) -> dict[tuple[str, ...], str]:
        """What decides each table: that of a method under its label, ``()`` that of the
        predictions."""
        marks: dict[tuple[str, ...], str] = {(): self.predictions.mark}
        return marks | {(label,): rows.mark for label, rows in self.methods.items()}


class Gathered(NamedTuple):
    """What there is of a model."""

    results: tuple[MethodScores, ...]
    lacking: dict[str, np.ndarray]
    """Label of a method to the images that it lacks, of those that lack any."""


class _Sums:
    """The mean and spread of curves, added up block by block."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, np.zeros(()), np.zeros(())

    def add(self, curves: np.ndarray) -> None:
        """Curves ``(n, T + 1)``."""
        curves = curves.astype(float)
        self._count += len(curves)
        self._sum = self._sum + curves.sum(axis=0)
        self._squares = self._squares + (curves**2).sum(axis=0)

    def band(self) -> plots.Band | None:
        """Of all curves; None where there were none."""
        if not self._count:
            return None
        mean = self._sum / self._count
        variance = np.maximum(self._squares / self._count - mean**2, 0)
        return plots.band_of(self._count, mean, np.sqrt(variance))


def gather(
    tables: Tables,
    places: np.ndarray,
    ids: np.ndarray | None = None,
    *,
    curves: bool = False,
) -> Gathered:
    """The scores of all methods on those images that all of them have.

    Args:
      tables: of one model.
      places: ``(N,)`` in growing order.
      ids: ``(N,)``, what tells each image from others in its place.
      curves: whether each curve is wanted, and not only their mean.
    """
    kept: dict[str, list[dict[str, np.ndarray]]] = {m: [] for m in tables.methods}
    sums = {m: [_Sums() for _ in tables.columns] for m in tables.methods}
    lacking: dict[str, list[np.ndarray]] = {m: [] for m in tables.methods}
    complete: list[np.ndarray] = []
    wanted = {PREDICTIONS, MAPS, *tables.columns}
    for block in blocks(places):
        of = None if ids is None else ids[block]
        predicted = tables.predictions.find(places[block], of)
        found = {m: rows.find(places[block], of) for m, rows in tables.methods.items()}
        no_class = predicted.missing(PREDICTIONS, len(block))
        no_score = {
            m: no_class | _lacks(tables, f, len(block)) for m, f in found.items()
        }
        whole = ~np.any([*no_score.values()], axis=0)
        complete.append(block[whole])
        for method, part in found.items():
            lacking[method].append(block[no_score[method]])
            if not whole.any():
                continue
            values = {**predicted.values, **part.values}
            rows = {f: v[whole] for f, v in values.items() if f.split(".")[0] in wanted}
            for column, total in zip(tables.columns, sums[method]):
                if f"{column}.curve" in rows:
                    total.add(rows[f"{column}.curve"])
            kept[method].append(
                {f: v for f, v in rows.items() if curves or not f.endswith(".curve")}
            )
    index = np.concatenate([np.zeros(0, int), *complete])
    scored = tables.methods if len(index) else ()
    return Gathered(
        tuple(
            _scores(tables, method, index, kept[method], sums[method])
            for method in scored
        ),
        {
            method: np.concatenate(parts)
            for method, parts in lacking.items()
            if any(len(part) for part in parts)
        },
    )


def _lacks(tables: Tables, found: Found, count: int) -> np.ndarray:
    columns = (MAPS, *tables.columns)
    return np.any([found.missing(column, count) for column in columns], axis=0)


def _scores(
    tables: Tables,
    method: str,
    index: np.ndarray,
    parts: Sequence[Mapping[str, np.ndarray]],
    sums: Sequence[_Sums],
) -> MethodScores:
    def whole(field: str) -> np.ndarray:
        return np.concatenate([part[field] for part in parts])

    measured: list[dict[str, np.ndarray]] = []
    for column in tables.columns:
        names = (field.split(".", 1) for field in parts[0])
        fields = [field for of, field in names if of == column]
        measured.append({field: whole(f"{column}.{field}") for field in fields})
    seconds = float(whole(f"{MAPS}.seconds").sum())
    return MethodScores(
        tables.model,
        method,
        index,
        whole(f"{PREDICTIONS}.explained"),
        whole(f"{PREDICTIONS}.predicted"),
        whole(f"{PREDICTIONS}.probability"),
        whole(f"{MAPS}.finite"),
        len(index) / max(seconds, 1e-9),
        tuple(measured),
        tuple(total.band() for total in sums),
    )
