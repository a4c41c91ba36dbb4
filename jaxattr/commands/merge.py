"""``jaxattr merge``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jaxattr._locations import as_path
from jaxattr.commands._arguments import add_figure_options, figures_of
from jaxattr.evaluation.runs.settings import read_settings

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr evaluate photographs --shard 0/2 --out results &
  jaxattr evaluate photographs --shard 1/2 --out results & wait
  jaxattr merge results
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "merge",
        help="the tables and figures of a job whose shards are done",
        description=(
            "Makes the tables and figures of evaluate, spectrum or robustness from what\n"
            "processes with --shard have kept in a folder of results. Neither a model nor\n"
            "a photograph is read. What is missing is named, with exit code 1."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("out", metavar="DIR", help="the --out of the shards")
    add("--json", action="store_true", help="print results as JSON, no table")
    add("--quiet", action="store_true", help="print warnings and errors only")
    add_figure_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Merges, prints the table, and names what is missing."""
    folder, figures = as_path(arguments.out, shared=True), figures_of(arguments)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of results")
    job = read_settings(folder).get("job")
    if job == "evaluate":
        from jaxattr.commands.evaluate import print_evaluation
        from jaxattr.evaluation.evaluate.merge import merge

        found = merge(folder, figures)
        code = print_evaluation(arguments, found.evaluation, found.evaluation.broken)
        missing = found.missing
    elif job == "robustness":
        from jaxattr.commands.robustness import print_robustness
        from jaxattr.evaluation.robustness.merge import merge as merge_robustness

        results, settings, missing = merge_robustness(folder, figures)
        code = print_robustness(arguments, results, settings)
    elif job == "spectrum":
        from jaxattr.commands.spectrum import print_spectra
        from jaxattr.evaluation.spectrum.merge import merge as merge_spectra

        spectra, mce, missing = merge_spectra(folder, figures)
        code = print_spectra(arguments, spectra, mce)
    else:
        raise ValueError(f"{folder}: these are no results that can be merged ({job})")
    for line in missing:
        print(f"jaxattr: missing {line}", file=sys.stderr)
    return 1 if missing else code
