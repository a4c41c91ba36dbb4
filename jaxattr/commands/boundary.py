"""``jaxattr boundary``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxattr import boundaries
from jaxattr._checks import check_choice
from jaxattr.commands._arguments import (
    QUICK_SEARCH,
    add_figure_options,
    add_run_options,
    figures_of,
    run_of,
    whole,
)
from jaxattr.commands._devices import mesh_of
from jaxattr.commands._models import add_model, load_model
from jaxattr.commands._photographs import (
    add_photographs,
    photograph_files,
    print_report,
)
from jaxattr.commands._shares import add_shard, shard_of
from jaxattr.evaluation.boundary.boundary import draw_boundaries
from jaxattr.evaluation.runs.progress import Progress

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr boundary cat.jpg
  jaxattr boundary *.jpg --search ddn,fab --out boundaries
  jaxattr boundary cat.jpg --search all
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "boundary",
        help="the nearest image of another class",
        description=(
            "Searches for each photograph the nearest image that the model takes for\n"
            "something else, and writes STEM.boundary.png (the photograph, that image,\n"
            "what differs, and the attributions BSM and BIG made with it) and\n"
            "STEM.boundary.npz with the arrays. Distances are Euclidean, pixels in [0, 1]."
            "\nStopped, it goes on where it was when it is started again."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_photographs(parser)
    add_model(parser)
    add(
        "--search",
        action="append",
        metavar="NAME",
        help="several with commas between them, or given several times: "
        f"{', '.join(boundaries.boundary_names())}, or all, which takes several times as "
        f"long (default: {', '.join(QUICK_SEARCH)})",
    )
    add(
        "--steps", type=whole(1), default=50, metavar="INT", help="of BIG (default: 50)"
    )
    add_run_options(parser, batch_size=8, out="boundaries", devices=True)
    add_shard(parser, "the same command without it prints the table of all")
    add_figure_options(parser, maps=True)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it, prints the table, and names what was skipped or not found."""
    search = members_named(arguments.search or QUICK_SEARCH)
    photographs = photograph_files(arguments.photographs)
    figures, shard = figures_of(arguments), shard_of(arguments)
    with Progress(shard.share_of(len(photographs)), quiet=arguments.quiet) as progress:
        report = draw_boundaries(
            photographs,
            load_model(arguments.model, arguments),
            out=arguments.out,
            search=search,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            num_steps=arguments.steps,
            mesh=mesh_of(arguments),
            workers=arguments.workers,
            run=run_of(arguments, photographs=photographs),
            shard=shard,
            figure_files=figures,
            progress=progress,
        )
    return print_report(arguments, report, shard, "figures and arrays")


def members_named(texts: Iterable[str]) -> tuple[str, ...]:
    """The members of a search, each once, of texts that name several with commas."""
    names = (name.strip() for text in texts for name in text.split(","))
    members = tuple(dict.fromkeys(names))
    known = boundaries.boundary_names()
    for name in members:
        check_choice("--search", name, (*known, "all"))
    return known if "all" in members else members
