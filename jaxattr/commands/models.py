"""``jaxattr models``."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Registers the command."""
    text = "list the classifiers that can be explained, or fetch the weights of one"
    parser = commands.add_parser("models", help=text, description=text.capitalize())
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(metavar="ACTION")
    text = "download the weights of a model into the cache of the Hugging Face hub"
    fetch_parser = actions.add_parser("fetch", help=text, description=text.capitalize())
    fetch_parser.add_argument(
        "name", metavar="NAME", help="as `jaxattr models` lists it"
    )
    fetch_parser.add_argument(
        "--revision",
        help="branch, tag or commit of the repository (default: the newest)",
    )
    fetch_parser.set_defaults(run=fetch)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table: names, top-1, size and origin of the weights."""
    from jaxattr import models

    lines = [("model", "top-1 %", "MB", "default weights")]
    for name in models.names():
        entry = models.description(name)
        megabytes = "" if entry.megabytes is None else f"{entry.megabytes:.0f}"
        lines.append((name, f"{entry.top_1:.1f}", megabytes, entry.where))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for name, top_1, megabytes, where in lines:
        print(
            f"{name:{widths[0]}}  {top_1:>{widths[1]}}  {megabytes:>{widths[2]}}  {where}"
        )
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Prints where the file is."""
    from jaxattr import models

    print(models.fetch(arguments.name, revision=arguments.revision))
    return 0
