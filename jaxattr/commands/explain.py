"""``jaxattr explain``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jaxattr.commands._arguments import (
    QUICK_SEARCH,
    add_figure_options,
    add_method_options,
    add_run_options,
    figures_of,
    run_of,
    whole,
    words,
)
from jaxattr.commands._model_requests import parse_model
from jaxattr.commands._models import add_model, load_model
from jaxattr.commands._photographs import (
    add_photographs,
    photograph_files,
    print_report,
)
from jaxattr.commands._shares import add_shard, shard_of
from jaxattr.evaluation.explain.explain import explain_photographs
from jaxattr.evaluation.explain.shared_search import explains_at_boundary
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import parse_options
from jaxattr.evaluation.runs.progress import Progress

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr explain cat.jpg
  jaxattr explain photographs/ --no-curves --overlay --format png,pdf
  jaxattr explain cat.jpg --method integrated_gradients --method attexplore
  jaxattr explain *.jpg --method smoothgrad --option smoothgrad.num_samples=100
  jaxattr explain cat.jpg --method saliency --label "tiger cat" --out maps
  jaxattr explain cat.jpg --label 281 --label 285
  jaxattr explain cat.jpg --method bsm --method big
  jaxattr explain cat.jpg --method big --option big.search=ddn,fab
  jaxattr explain cat.jpg --method big --option big.search.norm=linf
  jaxattr explain cat.jpg --methods occlusion,rise
  jaxattr explain cat.jpg --method kernel_shap --option kernel_shap.segments=8,8
  jaxattr explain cat.jpg --method expected_gradients --references photographs/
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "explain",
        help="explain photographs of your own",
        description=(
            "Writes for each photograph the figures STEM.png and STEM.curves.png, and\n"
            "for each method the raw map with all that is needed to make it again,\n"
            "STEM.METHOD.npz.\n\n"
            "bsm, big and bsg search for the nearest boundary, once for all of them, with\n"
            f"{', '.join(QUICK_SEARCH)}, or as --option METHOD.search says (all: with "
            "every\n"
            "attack, which takes several times as long).\n\n"
            "Stopped, it goes on where it was when it is started again."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_photographs(parser)
    names = ", ".join(registry.methods())
    add(
        *("--method", "--methods"),
        action="extend",
        type=words,
        metavar="NAME",
        help=f"may be given several times, or with commas: {names} (default: "
        "integrated_gradients)",
    )
    add_method_options(parser)
    add_model(parser)
    add(
        "--label",
        action="append",
        metavar="CLASS",
        help="index or name; given several times, a row each, and the difference of the "
        "first two (default: what is predicted)",
    )
    add_run_options(parser, batch_size=8, out="explanations")
    add(
        "--curve-steps",
        type=whole(0),
        default=224,
        metavar="INT",
        help="of the insertion and deletion curves, 0 for none (default: 224)",
    )
    add(
        "--no-curves",
        action="store_const",
        const=0,
        dest="curve_steps",
        help="the same as --curve-steps 0",
    )
    add_shard(parser, "the same command without it prints the table of all")
    add_figure_options(parser, maps=True)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it, prints the table, and names what was skipped or not found."""
    names = dict.fromkeys(arguments.method or ["integrated_gradients"])
    chosen = {name: registry.method(name) for name in names}
    # What is given for a search comes after these, and holds.
    at_boundary = [name for name in chosen if explains_at_boundary(chosen[name])]
    quick = [f"{name}.search={','.join(QUICK_SEARCH)}" for name in at_boundary]
    methods = parse_options([*quick, *arguments.option], chosen)
    shard = shard_of(arguments)
    photographs = photograph_files(arguments.photographs)
    total = (
        shard.share_of(len(photographs)) * len(methods) * len(arguments.label or [""])
    )
    figures = figures_of(arguments)
    with Progress(total, quiet=arguments.quiet) as progress:
        report = explain_photographs(
            photographs,
            load_model(arguments.model, arguments),
            methods,
            out=arguments.out,
            label=arguments.label,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            curve_steps=arguments.curve_steps,
            references=arguments.references,
            weights=parse_model(arguments.model).file or arguments.weights or "default",
            shard=shard,
            figure_files=figures,
            run=run_of(arguments, methods=tuple(chosen), photographs=photographs),
            progress=progress,
        )
    return print_report(arguments, report, shard, "figures and raw maps")
