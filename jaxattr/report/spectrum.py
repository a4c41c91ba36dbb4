"""The page of ``jaxattr spectrum``: the importance of frequency bands."""

from __future__ import annotations

from jaxattr.report import tables
from jaxattr.report.blocks import Block, Chart, Charts, Page, Series, number
from jaxattr.report.kinds import Folder


def page(folder: Folder) -> Page:
    """Reads ``bands.csv`` and ``scores.csv``.

    Raises:
      ValueError: a table that cannot be read, or none.
    """
    header, rows = tables.read(
        folder.path / "bands.csv", ("model", "band", "value", "standard_error", "share")
    )
    scores_header, scores = tables.read(folder.path / "scores.csv")
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
    missing = [] if scores else ["The run is not finished: there is no scores.csv."]
    count = scores[0]["images"] if scores else "some"
    return Page(
        f"Frequency bands of {len(models)} model{'s' * (len(models) != 1)}",
        f"{', '.join(models)}, over {count} photographs.",
        missing,
        blocks,
        [],
    )
