"""The reference: every public name from its docstring, on exactly one page.

``{api}`` in a page of ``docs/reference`` documents all that is public in the modules that
it names (or single names). The build stops if a public name is on no page or on two.
"""

from __future__ import annotations

import inspect
import pathlib
import re

import public_names
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective


class Api(SphinxDirective):
    """A table of the names that are asked for, then each in full."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The nodes of the block."""
        known = public_names.public_names()
        asked = " ".join(self.content).split()
        names = [n for ask in asked for n in public_names.answers(ask, known)]
        # One reStructuredText block, whose indented parts are the docstrings.
        lines = ["````{eval-rst}", *_table(names)]
        for name in names:
            lines += ["", *_entry(name)]
        return self.parse_text_to_nodes("\n".join([*lines, "````"]))


def _table(names: list[public_names.PublicName]) -> list[str]:
    lines = [".. list-table::", "   :widths: 30 70", ""]
    for name in names:
        short = name.path.removeprefix("jaxattr.")
        lines.append(f"   * - :py:obj:`{short} <{name.path}>`")
        lines.append(f"     - {_first_sentence(name)}")
    return lines


def _first_sentence(name: public_names.PublicName) -> str:
    if not (inspect.isclass(name.value) or inspect.isroutine(name.value)):
        return ""
    text = (inspect.getdoc(name.value) or "").split("\n\n")[0]
    return safe(" ".join(text.split()))


def _entry(name: public_names.PublicName) -> list[str]:
    if inspect.isclass(name.value):
        kind, options = "autoclass", ["   :members:", "   :member-order: bysource"]
    elif inspect.isroutine(name.value):
        kind, options = "autofunction", []
    else:
        kind, options = "autodata", ["   :no-value:"]
    lines = [f".. {kind}:: {name.path}", *options]
    if name.others:
        others = ", ".join(f"``{other}``" for other in name.others)
        lines += ["", f"   Also called {others}."]
    return lines


def safe(line: str) -> str:
    """A line of a docstring as reStructuredText that means what is written.

    Docstrings have literals and roles, but no emphasis, substitutions or hyperlinks: what
    would be read as one stands in a formula.
    """
    parts = re.split(r"(``.*?``|:[\w:]+:`[^`]*`)", line)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([*|\\])", r"\\\1", parts[i])
        parts[i] = re.sub(r"_(?![A-Za-z0-9])", r"\\_", parts[i])
        parts[i] = re.sub(r"(?<![`\w])`([^`]+)`(?!`)", r"``\1``", parts[i])
    return "".join(parts)


def make_safe(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Escapes a docstring before Napoleon reads it; literal blocks stay as they are."""
    if what == "data" and "\n".join(lines).strip() == inspect.getdoc(type(obj)):
        lines[:] = []  # a constant without words of its own has those of its type
    literal_below: int | None = None
    inside: str | None = None
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if literal_below is not None and indent > literal_below:
            continue
        literal_below = indent if line.rstrip().endswith("::") else None
        stripped = line.lstrip()
        if stripped.startswith((">>>", "...")) or inside == "doctest":
            inside = "doctest" if i + 1 < len(lines) and lines[i + 1].strip() else None
            continue
        if re.fullmatch(r"[=\s-]+", stripped):  # the rules of a table
            continue
        lines[i] = safe(line)


def check(app: Sphinx) -> None:
    """Stops a build that would leave out a public name."""
    folder = pathlib.Path(app.confdir) / "reference"
    wrong = public_names.problems(public_names.reference_pages(folder))
    if wrong:
        raise ExtensionError("the reference is not complete:\n  " + "\n  ".join(wrong))


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers directive, check and the cleaning of docstrings."""
    app.add_directive("api", Api)
    app.connect("builder-inited", check)
    # Before Napoleon, whose listeners have the default priority of 500.
    app.connect("autodoc-process-docstring", make_safe, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
