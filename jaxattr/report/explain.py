"""The page of ``jaxattr explain``: photographs, maps and curves."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxattr.evaluation.explain.explanations import Explanation, load_explanation
from jaxattr.evaluation.runs.figures import method_title
from jaxattr.report import pictures
from jaxattr.report.blocks import Gallery, Map, Number, Page, Photograph, Score, number
from jaxattr.report.kinds import Folder

SCORES = (Score("insertion", True), Score("deletion", False))
STEPS = {
    "Insertion": "share of the pixels shown",
    "Deletion": "share of the pixels removed",
}


def page(folder: Folder) -> Page:
    """Reads every ``STEM.METHOD.npz`` of the folder.

    Raises:
      ValueError: not one that can be read.
    """
    grouped = _files(folder)
    methods = folder.in_order(m for of in grouped.values() for m in of)
    side, count = pictures.fitting(len(grouped), _bytes_of(list(grouped.values())))
    photographs: list[Photograph] = []
    missing: list[str] = []
    facts: list[tuple[str, str]] = []
    for of in list(grouped.values())[:count]:
        explanations = []
        for method in (m for m in methods if m in of):
            try:
                explanations.append(load_explanation(of[method]))
            except ValueError as error:
                missing.append(str(error))
        if explanations:
            photographs.append(_photograph(explanations, side))
            facts = facts or _facts(explanations)
    if not photographs:
        reason = missing[0] if missing else "there is no .npz"
        raise ValueError(f"{folder.path}: no explanation can be read; {reason}")
    titles = [method_title(name) for name in methods]
    for asked in folder.asked("methods"):
        if method_title(asked) not in titles:
            titles.append(method_title(asked))
    missing += lacking(folder, [p.file for p in photographs], len(grouped) > count)
    missing += [
        f"{p.file}: no map of {', '.join(t for t in titles if t not in p.maps)}."
        for p in photographs
        if len(p.maps) < len(titles)
    ]
    has_curves = any(m.curves for p in photographs for m in p.maps.values())
    note = "What the model looked at, for the class that stands under each photograph."
    if len(grouped) > count:
        note += (
            f" {count:,} of {len(grouped):,} photographs, so that the file stays small."
        )
    gallery = Gallery(
        "Maps",
        titles,
        SCORES if has_curves else (),
        photographs,
        note=note,
        curves=STEPS,
    )
    number_of = f"{len(grouped):,} photograph{'s' * (len(grouped) != 1)}"
    return Page(
        f"Explanations: {number_of}",
        f"{facts[0][1]}, explained by {', '.join(titles)}.",
        missing,
        [gallery],
        facts,
    )


def _bytes_of(grouped: Sequence[Mapping[str, pathlib.Path]]) -> Callable[[int], float]:
    """Side of the pictures to the mean bytes of a photograph with its maps."""
    some: list[list[Explanation]] = []
    for files in pictures.sample(grouped):
        with contextlib.suppress(ValueError):
            some.append([load_explanation(path) for path in files.values()])

    def mean(side: int) -> float:
        sizes = [len(json.dumps(_photograph(found, side))) for found in some]
        return sum(sizes) / max(1, len(sizes))

    return mean


def lacking(folder: Folder, there: Sequence[str], is_cut: bool = False) -> list[str]:
    """Photographs that were asked for and have no result, in one sentence."""
    asked = [pathlib.Path(name).name for name in folder.asked("photographs")]
    names = [name for name in dict.fromkeys(asked) if name not in set(there)]
    if is_cut or not names:
        return []
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")
    return [
        f"{len(names)} of {len(set(asked))} photographs that were asked for have no "
        f"result: {some}."
    ]


def _files(folder: Folder) -> dict[str, dict[str, pathlib.Path]]:
    """Stem of a photograph to method to file."""
    grouped: dict[str, dict[str, pathlib.Path]] = {}
    for path in sorted(folder.path.glob("*.*.npz")):
        stem, method, _ = path.name.rsplit(".", 2)
        if method != "boundary":
            grouped.setdefault(stem, {})[method] = path
    return grouped


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
    return [number(round(float(value), 4)) for value in values]


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
