"""``jaxattr models``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    text = "list the classifiers that can be explained, or fetch the weights of one"
    parser = commands.add_parser(
        "models", help=text, description=text[0].upper() + text[1:]
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(metavar="ACTION")
    text = "download the weights of a model into the cache of the Hugging Face hub"
    fetch_parser = actions.add_parser(
        "fetch", help=text, description=text[0].upper() + text[1:]
    )
    fetch_parser.add_argument(
        "name", metavar="NAME", help="as `jaxattr models` lists it"
    )
    fetch_parser.add_argument(
        "--revision",
        help="branch, tag or commit of the repository (default: the newest)",
    )
    fetch_parser.set_defaults(run=fetch)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table, a line for each set of weights, the default of a model first."""
    from jaxattr import models

    lines = [("model", "source", "top-1 %", "MB", "weights")]
    for name in models.names():
        for entry in models.descriptions(name):
            size = "" if entry.megabytes is None else f"{entry.megabytes:.0f}"
            top_1 = f"{entry.top_1:g}"
            lines.append((name, entry.source, top_1, size, entry.where))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for name, source, top_1, size, where in lines:
        left = f"{name:{widths[0]}}  {source:{widths[1]}}  {top_1:{widths[2]}}"
        print(f"{left}  {size:>{widths[3]}}  {where}")
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Prints where the file is."""
    from jaxattr import models

    print(models.fetch(arguments.name, revision=arguments.revision))
    return 0
