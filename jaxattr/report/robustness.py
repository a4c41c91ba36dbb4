"""The page of ``jaxattr robustness``: what is left of maps under attack."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from jaxattr.evaluation.runs.figures import method_title
from jaxattr.report import tables
from jaxattr.report.blocks import Block, Chart, Charts, Page, Series, number
from jaxattr.report.kinds import Folder
from jaxattr.report.tables import Rows

_KEYS = ("method", "attack", "epsilon")
DRAWN = ("top_k", "lens_recall", "lens_recall_diverse", "kendall")
TITLES = {
    "top_k": "top-k intersection",
    "lens_recall": "LENS recall",
    "lens_recall_diverse": "diverse LENS recall",
    "kendall": "Kendall's tau",
}


def page(folder: Folder) -> Page:
    """Reads ``summary.csv`` and ``images.csv``, or what there is of an unfinished run.

    Raises:
      ValueError: a table that cannot be read, or none.
    """
    images = folder.table("images.csv")
    per_image_header, per_image = tables.read(images)
    missing: list[str] = []
    if images.name == "images.csv":
        path = folder.path / "summary.csv"
        header, rows = tables.read(path, ("method", "attack", "epsilon"))
    else:
        header, rows = _means(per_image_header, per_image)
        missing = folder.lacking("methods", _files_of(per_image), "attacked")
    if not rows:
        raise folder.unfinished("summary.csv")
    blocks: list[Block] = []
    for method in folder.in_order(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        charts = [
            Chart(TITLES[name], "ε in 1/255", "", _series(own, name))
            for name in DRAWN
            if name in header
        ]
        note = "1: the map is as it was. Means over the photographs."
        blocks.append(Charts(method_title(method), charts, note))
    blocks.append(tables.as_table("Means", header, rows))
    if per_image:
        blocks.append(tables.as_table("All photographs", per_image_header, per_image))
    methods = [method_title(m) for m in folder.in_order(r["method"] for r in rows)]
    attacks = ", ".join(dict.fromkeys(row["attack"] for row in rows))
    return Page(
        "Robustness of explanations",
        f"{', '.join(methods)}, attacked by {attacks}.",
        missing,
        blocks,
        [],
    )


def _files_of(rows: Rows) -> dict[str, int]:
    """Method to how many photographs it has."""
    files: dict[str, set[str]] = {}
    for row in rows:
        files.setdefault(row["method"], set()).add(row["file"])
    return {method: len(names) for method, names in files.items()}


def _means(header: Sequence[str], rows: Rows) -> tuple[list[str], Rows]:
    """What ``summary.csv`` will have, but for chance levels."""
    scores = [name for name in header if name not in (*_KEYS, "file")]
    groups: dict[tuple[str, ...], Rows] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in _KEYS), []).append(row)
    means = [
        dict(zip(_KEYS, keys, strict=True))
        | {
            name: f"{sum(float(row[name]) for row in group) / len(group):.6g}"
            for name in scores
        }
        for keys, group in groups.items()
    ]
    return [*_KEYS, *scores], means


def _series(rows: list[dict[str, str]], name: str) -> list[Series]:
    found = []
    for attack in dict.fromkeys(row["attack"] for row in rows):
        own = [row for row in rows if row["attack"] == attack]
        x = [255 * float(Fraction(_plain(row["epsilon"]))) for row in own]
        y = [number(row[name]) for row in own]
        # Where nothing was changed, everything agrees.
        found.append(Series(attack.replace("_", " "), [0.0, *x], [1.0, *y]))
    return found


def _plain(epsilon: str) -> str:
    above, _, below = epsilon.partition("/")
    return f"{Fraction(above) / Fraction(below or '1')}"
