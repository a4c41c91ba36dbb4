"""What a page is made of: plain data, drawn by the script of ``assets/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Number = float | None
"""None where there is none: JSON has no NaN."""


class Column(NamedTuple):
    """A column of a table."""

    name: str
    is_number: bool = False
    note: str = ""
    """A few words more, shown under the name."""


class Table(NamedTuple):
    """A table that a reader sorts and filters."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Number]]
    note: str = ""


class Series(NamedTuple):
    """A line of a chart, with the band of where it may lie, or without."""

    name: str
    x: Sequence[float]
    y: Sequence[Number]
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()


class Chart(NamedTuple):
    """Lines over one axis, whose values a reader hovers."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    note: str = ""


class Charts(NamedTuple):
    """Charts side by side."""

    title: str
    charts: Sequence[Chart]
    note: str = ""


class Map(NamedTuple):
    """A map of a photograph by one method."""

    picture: str
    """A data URI with transparency where the map is weak."""
    limit: float
    """The absolute value at the ends of the colours."""
    scores: Mapping[str, Number]
    """By the names of the gallery's scores."""
    curves: Mapping[str, Sequence[Number]] = {}
    """Curves of the gallery by title, values over equal steps of the pixels."""


class Photograph(NamedTuple):
    """A photograph of a gallery with its maps."""

    file: str
    caption: str
    picture: str
    """A data URI; empty where the photograph is not at hand."""
    facts: Mapping[str, str]
    maps: Mapping[str, Map]
    """By method."""
    extra: str = ""
    """A second picture of it, such as the point on the boundary."""


class Score(NamedTuple):
    """A number that each map of a gallery has."""

    name: str
    higher_is_better: bool | None
    """None where neither is better."""


class Gallery(NamedTuple):
    """Photographs with maps that are laid over them."""

    title: str
    methods: Sequence[str]
    scores: Sequence[Score]
    photographs: Sequence[Photograph]
    extra_title: str = ""
    """What the second pictures are."""
    note: str = ""
    curves: Mapping[str, str] = {}
    """Title of a curve to what its steps are."""


Block = Table | Charts | Gallery


class Page(NamedTuple):
    """A report."""

    title: str
    lead: str
    """One sentence under the title."""
    missing: Sequence[str]
    """What is not there or could not be read, a sentence each."""
    blocks: Sequence[Block]
    facts: Sequence[tuple[str, str]]
    """Settings, versions and the command."""
    notes: Sequence[str] = ()
    """What a reader should know before reading on, such as another version."""


def number(value: object) -> Number:
    """A number as JSON takes it: None for what is not finite or no number."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if abs(found) < float("inf") else None
