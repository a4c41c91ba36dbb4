"""The page of ``jaxattr explain``: photographs, maps and curves."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from jaxattr.evaluation.explain.explanations import Explanation, load_explanation
from jaxattr.evaluation.runs.figures import method_title
from jaxattr.report import pictures
from jaxattr.report.blocks import Gallery, Map, Number, Page, Photograph, Score, number
from jaxattr.report.kinds import Folder

SCORES = (Score("insertion", True), Score("deletion", False))


def page(folder: Folder) -> Page:
    """Reads every ``STEM.METHOD.npz`` of the folder.

    Raises:
      ValueError: not one that can be read.
    """
    files = sorted(p for p in folder.path.glob("*.npz"))
    files = [p for p in files if not p.name.endswith(".boundary.npz")]
    warnings: list[str] = []
    grouped: dict[str, list[pathlib.Path]] = {}
    for path in files:
        stem = path.name.rsplit(".", 2)[0]
        grouped.setdefault(stem, []).append(path)
    scale = pictures.fitting(len(files) + len(grouped))
    photographs, methods, facts = [], dict[str, None](), list[tuple[str, str]]()
    for paths in list(grouped.values())[: _most(scale.most, grouped)]:
        explanations = []
        for path in paths:
            try:
                explanations.append(load_explanation(path))
            except ValueError as error:
                warnings.append(str(error))
        if explanations:
            photographs.append(_photograph(explanations, scale.side))
            methods |= dict.fromkeys(photographs[-1].maps)
            facts = facts or _facts(explanations)
    if not photographs:
        raise ValueError(f"{folder.path}: no explanation can be read; {warnings[0]}")
    if len(photographs) < len(grouped) - len(warnings):
        warnings.append(
            f"{len(photographs)} of {len(grouped)} photographs are shown, so that the "
            "file stays small"
        )
    lacking = [
        f"{p.file}: no map of {', '.join(m for m in methods if m not in p.maps)}"
        for p in photographs
        if len(p.maps) < len(methods)
    ]
    has_curves = any(m.curves for p in photographs for m in p.maps.values())
    gallery = Gallery(
        "Maps",
        tuple(methods),
        SCORES if has_curves else (),
        photographs,
        note="What the model looked at, for the class that stands under each photograph.",
    )
    count = f"{len(photographs)} photograph{'s' * (len(photographs) != 1)}"
    names = ", ".join(methods)
    return Page(
        f"Explanations: {count}",
        f"{facts[0][1]} explained by {names}.",
        warnings + lacking[:20],
        [gallery],
        facts,
    )


def _most(most: int, grouped: dict[str, list[pathlib.Path]]) -> int:
    """How many photographs have room, each with its maps."""
    per_photograph = 1 + max(len(paths) for paths in grouped.values())
    return max(1, most // per_photograph)


def _photograph(explanations: Sequence[Explanation], side: int) -> Photograph:
    first = explanations[0]
    return Photograph(
        file=pathlib.Path(first.photograph).name,
        caption=first.caption,
        picture=pictures.photograph(first.image, side),
        facts={},
        maps={method_title(e.method): _map(e, side) for e in explanations},
    )


def _map(explanation: Explanation, side: int) -> Map:
    picture, limit = pictures.overlay(explanation.map, side)
    curves = {
        "Insertion": explanation.insertion,
        "Deletion": explanation.deletion,
    }
    return Map(
        picture,
        limit,
        {
            name.lower(): number(_area(curve))
            for name, curve in curves.items()
            if curve.size
        },
        {name: thinned(curve) for name, curve in curves.items() if curve.size},
    )


def thinned(curve: np.ndarray, most: int = 57) -> list[Number]:
    """A curve at so many equal steps at most, with four digits."""
    places = np.linspace(0, len(curve) - 1, min(most, len(curve)))
    values = np.interp(places, np.arange(len(curve)), np.asarray(curve, float))
    return [number(round(value, 4)) for value in values]


def _area(curve: np.ndarray) -> float:
    return float(np.trapezoid(np.asarray(curve, float)) / (len(curve) - 1))


def _facts(explanations: Sequence[Explanation]) -> list[tuple[str, str]]:
    first = explanations[0]
    facts = [("model", first.model), ("weights", first.weights)]
    for e in explanations:
        options = ", ".join(f"{name}={value}" for name, value in e.options.items())
        facts.append((method_title(e.method), options or "no options"))
    key = " ".join(str(word) for word in np.ravel(first.key_data))
    facts += [("random key", key), ("batch size", str(first.batch_size))]
    return [*facts, ("jaxattr", first.version)]
