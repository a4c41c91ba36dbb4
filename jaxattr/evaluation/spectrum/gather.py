"""Rows of bands, corruptions and attacks to the spectrum of a model, block by block."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.attributions.spectral_importance import (
    SpectralImportance,
    importance_of_images,
)
from jaxattr.evaluation.runs.batches import blocks
from jaxattr.evaluation.runs.notebook import table_html
from jaxattr.evaluation.runs.rows import Rows
from jaxattr.games import shapley


class Table(NamedTuple):
    """Where results of one kind are kept, and which."""

    rows: Rows
    columns: tuple[str, ...]


Tables = Mapping[str, Table]
"""``bands`` and, where they are asked for, ``corruptions`` and ``attacks``."""


@dataclasses.dataclass(frozen=True, eq=False)
class ModelSpectrum:
    """What was measured of one model."""

    name: str
    index: np.ndarray
    """``(N,)``: which images of the set."""
    importance: SpectralImportance
    interactions: np.ndarray
    """``(M, M)``: Shapley interactions of the mean game."""
    correct: np.ndarray
    """``(N,)`` bool: right on the clean image."""
    errors: np.ndarray | None
    """``(15, 5, N)`` bool: wrong under each corruption and severity."""
    changes: Mapping[str, np.ndarray]
    """Attack to ``(N,)`` changes of the probability of the label."""

    def _repr_html_(self) -> str:
        """In a notebook: a row a band, low frequencies first, and the score."""
        found, count = self.importance, len(self.correct)
        columns = found.values, found.standard_error, found.distribution
        rows = [
            [band, *(f"{number:.4f}" for number in numbers)]
            for band, numbers in enumerate(zip(*columns, strict=True))
        ]
        note = (
            f"{self.name}, {count:,} image{'s' * (count != 1)}: accuracy "
            f"{self.correct.mean():.1%}, spectral score {float(found.score):.3f}. "
            "Bands from low to high frequencies, values in nats."
        )
        header = ["band", "value", "standard error", "share"]
        return table_html(header, rows, note)


class Gathered(NamedTuple):
    """What there is of a model."""

    spectrum: ModelSpectrum | None
    """None where no image has all."""
    lacking: np.ndarray
    """The images that lack something."""


def gather(
    name: str,
    tables: Tables,
    places: np.ndarray,
    ids: np.ndarray | None = None,
) -> Gathered:
    """The spectrum of a model over those images that have all.

    Args:
      name: of the model.
      tables: its rows.
      places: ``(N,)`` in growing order.
      ids: ``(N,)``, what tells each image from others in its place.
    """
    kept: list[dict[str, np.ndarray]] = []
    complete, lacking = [np.zeros(0, int)], [np.zeros(0, int)]
    total: np.ndarray | None = None
    for block in blocks(places):
        of = None if ids is None else ids[block]
        found = {kind: t.rows.find(places[block], of) for kind, t in tables.items()}
        missing = [
            found[kind].missing(column, len(block))
            for kind, table in tables.items()
            for column in table.columns
        ]
        gap = np.any(missing, axis=0)
        complete.append(block[~gap])
        lacking.append(block[gap])
        if gap.all():
            continue
        rows = {f: v[~gap] for part in found.values() for f, v in part.values.items()}
        # Of the games of each image only what each band is worth is kept.
        values = rows.pop("bands.values")
        summed = values.sum(axis=0, dtype=float)
        total = summed if total is None else total + summed
        rows["per_image"] = np.asarray(shapley.shapley_values(jnp.asarray(values.T)).T)
        kept.append(rows)
    index = np.concatenate(complete)
    if total is None:
        return Gathered(None, np.concatenate(lacking))
    whole = lambda field: np.concatenate([part[field] for part in kept])
    per_image = whole("per_image")
    game = jnp.asarray((total / len(index)).astype(per_image.dtype))
    importance = importance_of_images(jnp.asarray(per_image), game)
    attacks: Sequence[str] = tables["attacks"].columns if "attacks" in tables else ()
    errors = None
    if "corruptions" in tables:
        errors = np.moveaxis(whole("corruptions.errors"), 0, -1)
    spectrum = ModelSpectrum(
        name,
        index,
        jax.tree.map(np.asarray, importance),
        np.asarray(shapley.shapley_interactions(importance.coalition_values)),
        whole("bands.correct"),
        errors,
        {attack: whole(f"{attack}.change") for attack in attacks},
    )
    return Gathered(spectrum, np.concatenate(lacking))
