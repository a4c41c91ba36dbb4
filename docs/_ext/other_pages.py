"""Pages of ``docs`` that the first page does not name are listed there all the same.

So a new page is on the site as soon as it is written; naming it in ``index.md`` puts it
where it belongs.
"""

from __future__ import annotations

import pathlib
import re

from sphinx.application import Sphinx

PLACE = "other-pages-are-listed-here"


def list_others(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replaces the place by the pages that are not named."""
    if docname != app.config.root_doc:
        return
    named = set(re.findall(r"^([\w./-]+)$", source[0], re.MULTILINE))
    pages = sorted(path.stem for path in pathlib.Path(app.confdir).glob("*.md"))
    others = [page for page in pages if page != "index" and page not in named]
    source[0] = source[0].replace(PLACE, "\n".join(others))


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers it."""
    app.connect("source-read", list_others)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
