"""Rows of attacks to the robustness of a method, a block of images after the other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr import metrics
from jaxattr.evaluation.robustness.settings import (
    NULLS,
    Attacked,
    Settings,
    attacked,
    measures,
)
from jaxattr.evaluation.runs.batches import blocks
from jaxattr.evaluation.runs.notebook import table_html
from jaxattr.evaluation.runs.rows import Rows
from jaxattr.typing import Array

CHANCE_IMAGES = 128
"""Chance levels are means over the maps of so many photographs, the first ones: maps are
large, and a mean of so many is known well enough."""


class Tables(NamedTuple):
    """Where the results of a method are kept."""

    maps: Rows
    attacks: Rows


@dataclasses.dataclass(frozen=True, eq=False)
class MethodRobustness:
    """What was measured of one method."""

    method: str
    index: np.ndarray
    """``(n,)``: which images of the set."""
    maps: np.ndarray
    """``(R, H, W)``: sizes of the unperturbed maps of the first of them."""
    scores: Mapping[Attacked, Mapping[str, np.ndarray]]
    """(attack, ε) to score to ``(n,)``; ``success`` among the scores."""
    chance: Mapping[str, Mapping[str, float]]
    """Null to score to the mean of what it reaches."""

    def _repr_html_(self) -> str:
        """In a notebook: a row an attack and ε, means over the images."""
        fields = next(iter(self.scores.values()), {})
        names = [name for name in fields if name != "distance"]
        rows = [
            [attack, f"{255 * epsilon:g}/255"]
            + [f"{np.mean(scores[name]):.3f}" for name in names]
            for (attack, epsilon), scores in self.scores.items()
        ]
        count = len(self.index)
        note = f"{self.method}, {count:,} image{'s' * (count != 1)}."
        note += " 1: the map is as it was; success: how many maps moved."
        levels = {
            name: max(of_score[name] for of_score in self.chance.values())
            for name in next(iter(self.chance.values()), ())
        }
        if levels:
            reached = ", ".join(f"{name} {level:.3f}" for name, level in levels.items())
            note += f" Unrelated maps reach {reached}."
        return table_html(["attack", "ε", *names], rows, note)


class Gathered(NamedTuple):
    """What there is of a method."""

    result: MethodRobustness
    lacking: np.ndarray
    """The images that lack a score."""


def gather(
    method: str,
    tables: Tables,
    settings: Settings,
    places: np.ndarray,
    ids: np.ndarray | None = None,
    *,
    levels: bool = True,
) -> Gathered:
    """The scores of a method on those images that have all.

    Args:
      method: its name.
      tables: its rows.
      settings: what was done.
      places: ``(N,)`` in growing order.
      ids: ``(N,)``, what tells each image from others in its place.
      levels: whether chance levels are measured.
    """
    columns = attacked(settings)
    kept: list[dict[str, np.ndarray]] = []
    complete, lacking = [np.zeros(0, int)], [np.zeros(0, int)]
    for block in blocks(places):
        of = None if ids is None else ids[block]
        found = tables.attacks.find(places[block], of)
        no_score = np.any([found.missing(c, len(block)) for c in columns], axis=0)
        complete.append(block[~no_score])
        lacking.append(block[no_score])
        if not no_score.all():
            kept.append({f: rows[~no_score] for f, rows in found.values.items()})
    index = np.concatenate(complete)
    scores = {
        job: {
            field: np.concatenate([part[f"{column}.{field}"] for part in kept])
            for field in _fields(kept[0], column)
        }
        for column, job in columns.items()
        if kept
    }
    first = places < CHANCE_IMAGES
    found = tables.maps.find(places[first], None if ids is None else ids[first])
    there = ~found.missing("maps", int(first.sum()))
    maps = found.values["maps.size"][there] if there.any() else np.zeros((0, 1, 1))
    chance = _levels(maps, settings) if levels else {}
    result = MethodRobustness(method, index, maps, scores, chance)
    return Gathered(result, np.concatenate(lacking))


def _fields(part: Mapping[str, np.ndarray], column: str) -> list[str]:
    """Of an attack, in the order of the scores."""
    there = {f.split(".", 1)[1] for f in part if f.startswith(f"{column}.")} - {"nan"}
    first = [name for name in measures(1, 0) if name in there]
    return [*first, *sorted(there - set(first), reverse=True)]


def _levels(maps: np.ndarray, settings: Settings) -> dict[str, dict[str, float]]:
    key = jax.random.key(settings.seed)
    return {
        null: {
            name: float(_chance(jnp.asarray(maps), key, name, null, settings))
            for name in tuple(measures(settings.k, settings.window))[:3]
        }
        for null in NULLS
        if len(maps) > (null == "photographs")
    }


@functools.partial(jax.jit, static_argnames=("name", "null", "settings"))
def _chance(maps: Array, key: Array, name: str, null: str, settings: Settings) -> Array:
    measure = measures(settings.k, settings.window)[name]
    return metrics.lens_chance(
        measure, maps, maps, key=key, null=null, num_samples=settings.chance_samples
    ).mean()
