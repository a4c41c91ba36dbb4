"""The page of ``jaxattr spectrum``: the importance of frequency bands."""

from __future__ import annotations

import math

from jaxattr.report import tables
from jaxattr.report.blocks import Block, Chart, Charts, Page, Series, number
from jaxattr.report.kinds import Folder


def page(folder: Folder) -> Page:
    """Reads ``bands.csv`` and ``scores.csv``, or the bands of an unfinished run.

    Raises:
      ValueError: a table that cannot be read, or none.
    """
    bands = folder.table("bands.csv")
    header, rows = tables.read(
        bands, ("model", "band", "value", "standard_error", "share")
    )
    is_whole = bands.name == "bands.csv"
    scores_header, scores = (
        tables.read(folder.path / "scores.csv") if is_whole else ([], [])
    )
    if not rows:
        raise folder.unfinished("bands.csv")
    models = list(dict.fromkeys(row["model"] for row in rows))
    values, shares = [], []
    for model in models:
        own = [row for row in rows if row["model"] == model]
        x = [float(row["band"]) for row in own]
        y = [float(row["value"]) for row in own]
        error = [1.96 * float(row["standard_error"]) for row in own]
        low = [number(v - e) or 0.0 for v, e in zip(y, error, strict=True)]
        high = [number(v + e) or 0.0 for v, e in zip(y, error, strict=True)]
        if not all(map(math.isfinite, error)):
            low, high = [], []  # of one photograph nothing is known
        values.append(Series(model, x, [number(v) for v in y], low, high))
        shares.append(Series(model, x, [number(row["share"]) for row in own]))
    label = "frequency band, low to high"
    charts = [
        Chart("Shapley value of each band", label, "nats", values),
        Chart("Share of the importance", label, "share of the total", shares),
    ]
    note = "The bands are 95 % intervals over the photographs."
    blocks: list[Block] = [Charts("Frequency bands", charts, note)]
    if scores:
        text = "A higher score: the model leans on low frequencies."
        blocks.append(tables.as_table("Models", scores_header, scores, text))
    blocks.append(tables.as_table("Bands", header, rows))
    with_count = rows if "images" in header else scores
    counts = {row["model"]: int(row["images"]) for row in with_count}
    missing = [] if scores else folder.lacking("models", counts, "measured")
    most = max(counts.values(), default=None)
    over = "photographs" if most is None else f"{most:,} photograph{'s' * (most != 1)}"
    return Page(
        f"Frequency bands of {len(models)} model{'s' * (len(models) != 1)}",
        f"{', '.join(models)}, over {over}.",
        missing,
        blocks,
        [],
    )
