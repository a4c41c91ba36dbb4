"""``{commands}``: what each command prints with ``--help``."""

from __future__ import annotations

import argparse
import os

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Commands(SphinxDirective):
    """A section a command."""

    def run(self) -> list[nodes.Node]:
        """The nodes of the sections."""
        from jaxattr import cli

        os.environ |= {"COLUMNS": "88", "NO_COLOR": "1"}
        parser = cli._parser()
        (commands,) = [
            action
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
        ]
        lines = []
        for name, command in commands.choices.items():
            lines += [f"## jaxattr {name}", "", "```text"]
            lines += [command.format_help().rstrip(), "```", ""]
        text = "\n".join(lines)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
