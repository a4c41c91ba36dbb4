"""Formulas as MathML, which browsers draw by themselves: no script, no network.

docutils has the converter. What it does not know stops the build, with the place.
"""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html import HTML5Translator

log = logging.getLogger(__name__)


def converted(node: nodes.Element, as_block: bool) -> str:
    """The formula of a node."""
    text = node.astext()
    if as_block and ("&" in text or r"\\" in text):
        # The environment that the converter knows.
        for name in ("aligned", "split"):
            text = text.replace(rf"\begin{{{name}}}", "").replace(
                rf"\end{{{name}}}", ""
            )
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    try:
        return latex2mathml.tex2mathml(text, as_block=as_block)
    except MathError as error:
        log.warning("a formula is not understood: %s", error, location=node)
        return ""


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """Within a line."""
    self.body.append(converted(node, as_block=False))
    raise nodes.SkipNode


def block(self: HTML5Translator, node: nodes.math_block) -> None:
    """On a line of its own."""
    self.body.append(f'<div class="math">{converted(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the renderer; ``html_math_renderer`` chooses it."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
