"""``jaxattr report``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr report explanations
  jaxattr report evaluation --out evaluation-for-mail.html
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "report",
        help="one HTML file of results that opens anywhere",
        description=(
            "Writes what explain, evaluate, boundary, spectrum or robustness left in a\n"
            "folder as one HTML file: photographs with their maps, curves, tables that\n"
            "can be sorted, settings and versions. It needs neither a network nor a\n"
            "server. The exit code is 1 if something is missing, which is named."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("results", metavar="DIR", help="the --out of a command, finished or not")
    add("--out", metavar="FILE", help="default: report.html in the folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes it and names what is missing."""
    from jaxattr.report import write_report

    path, missing = write_report(arguments.results, arguments.out)
    print(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    for reason in missing:
        print(f"jaxattr: missing: {reason}", file=sys.stderr)
    return 1 if missing else 0
