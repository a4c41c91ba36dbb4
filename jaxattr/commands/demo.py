"""``jaxattr demo``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jaxattr.commands._compile_cache import add_compile_cache
from jaxattr.evaluation.explain.demo import run_demo
from jaxattr.evaluation.runs.tables import format_table

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    text = "explain three photographs with a classifier trained on ImageNet"
    parser = commands.add_parser(
        "demo",
        help=text,
        description=text[0].upper() + text[1:] + ", and one of them with a second one, "
        "if the package of its weights is installed.",
    )
    parser.add_argument(
        "--out", default="demo", metavar="DIR", help="where to write (default: demo)"
    )
    add_compile_cache(parser)
    parser.set_defaults(run=run, quiet=False)


def run(arguments: argparse.Namespace) -> int:
    """Runs it and prints the table."""
    print("explaining three photographs, a minute or two ...", file=sys.stderr)
    demo = run_demo(arguments.out)
    print(format_table(*demo.report.table()))
    print(f"\nfigures    {demo.explanations}\n           {demo.curves}")
    if demo.networks is not None:
        print(f"           {demo.networks}")
    else:
        from jaxattr.models.mobilenet_v2 import PACKAGE

        print(f"           (no second network beside the first: {PACKAGE.missing()})")
    print(f"raw maps   {demo.report.rows[0].file.parent}/*.npz")
    return 0
