"""How results show themselves in a notebook: small pieces of HTML, all text escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

MOST_ROWS = 50
"""Of a table: a notebook is no place for thousands."""

_CELL = "padding:2px 10px;text-align:{}"


def table_html(
    header: Sequence[str], rows: Sequence[Sequence[object]], note: str = ""
) -> str:
    """A table, numbers to the right.

    >>> "&lt;b&gt;" in table_html(["method"], [["<b>"]])
    True
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    sides = [
        "right" if column and all(map(_is_number, column)) else "left"
        for column in columns
    ]

    def line(tag: str, cells: Sequence[object]) -> str:
        inner = "".join(
            f'<{tag} style="{_CELL.format(side)}">{html.escape(str(cell))}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{inner}</tr>"

    body = "".join(line("td", row) for row in rows[:MOST_ROWS])
    more = len(rows) - MOST_ROWS
    notes = [f"and {more:,} rows more"] * (more > 0) + [note] * bool(note)
    below = "".join(f"<p>{html.escape(text)}</p>" for text in notes)
    return f"<table><thead>{line('th', header)}</thead><tbody>{body}</tbody></table>{below}"


def pictures_html(pictures: Sequence[tuple[Sequence[str], str]], title: str) -> str:
    """Pictures side by side, each of layers of data URIs, with a caption."""
    figures = []
    for layers, caption in pictures:
        images = "".join(
            f'<img src="{html.escape(uri)}" alt="{html.escape(caption)}" '
            'style="position:absolute;left:0;top:0;width:100%;height:100%">'
            for uri in layers
        )
        figures.append(
            '<figure style="display:inline-block;margin:0 12px 0 0">'
            '<div style="position:relative;width:180px;height:180px;background:#fff">'
            f"{images}</div><figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    return f"<div><strong>{html.escape(title)}</strong></div>{''.join(figures)}"


def _is_number(cell: object) -> bool:
    try:
        float(str(cell).rstrip("%"))
    except ValueError:
        return False
    return True
