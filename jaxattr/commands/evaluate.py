"""``jaxattr evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax

from jaxattr._locations import as_path
from jaxattr.commands._arguments import (
    add_figure_options,
    add_labels,
    add_method_options,
    add_run_options,
    figures_of,
    folder,
    run_of,
    whole,
    words,
)
from jaxattr.commands._devices import mesh_of
from jaxattr.commands._models import add_model, load_models
from jaxattr.commands._photographs import unread_in
from jaxattr.commands._results import print_results
from jaxattr.commands._shares import add_shares, print_share, shard_of
from jaxattr.evaluation import evaluate
from jaxattr.evaluation.evaluate.curves import CLASSES, Curve
from jaxattr.evaluation.evaluate.maps import DETAILS
from jaxattr.evaluation.evaluate.metrics import (
    METRICS,
    AnyMetric,
    as_metrics,
    with_options,
)
from jaxattr.evaluation.evaluate.results import Evaluation
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import parse_options
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.tables import format_table
from jaxattr.metrics.ranked_curves import ORDERS
from jaxattr.photographs.reading import Unread
from jaxattr.photographs.sets import Labelled, left_out

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr evaluate photographs --method saliency --method attexplore --out results
  jaxattr evaluate photographs --labels labels.csv --method fampe \\
      --option fampe.alpha=0.3 --max-images 50
  jaxattr evaluate photographs --order channel_sum --order channel_union
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "evaluate",
        help="how faithful the maps of methods are, over a folder of photographs",
        description=(
            "Explains a class of each photograph and scores the maps by insertion and\n"
            "deletion. Writes images.csv, a row an image and score; summary.csv, means\n"
            "with paired bootstrap intervals and images per second; and for each model\n"
            "a figure of the mean curves and one of a bar a method. Stopped, it goes on\n"
            "where it was when it is started again with the same arguments; with more\n"
            "methods, metrics, models or photographs it computes only what is new."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "folder",
        metavar="FOLDER",
        help="labelled photographs, or a folder a class. A class is a number or a name "
        "as the model has it, such as 1 or goldfish; WordNet's n01443537 is not known",
    )
    several = "may be given several times"
    add_model(parser, several=True)
    add_labels(parser)
    names = ", ".join(registry.methods())
    add(
        *("--method", "--methods"),
        action="extend",
        type=words,
        metavar="NAME",
        help=f"{several}, differences are to the first: {names} (default: saliency and "
        "integrated_gradients)",
    )
    add_method_options(parser)
    add(
        "--metric",
        action="append",
        metavar="NAME",
        help=f"{several}: {', '.join(METRICS)} (default: insertion and deletion)",
    )
    add(
        "--order",
        action="append",
        choices=ORDERS,
        metavar="NAME",
        help=f"of the pixels of a curve, {several}: {', '.join(ORDERS)} (default: "
        "channel_sum, the usual protocol)",
    )
    add(
        "--curve-steps",
        type=whole(1),
        metavar="INT",
        help=f"of a curve, one model pass each (default: {Curve().num_steps})",
    )
    add(
        "--scored",
        choices=CLASSES,
        help="whose probability curves follow (default: given, the class explained)",
    )
    add(
        "--explained",
        choices=CLASSES,
        default="given",
        help="which class is explained: the one given, or the one that the model "
        "predicts, which curves then follow too (default: given)",
    )
    add("--max-images", type=whole(1), metavar="INT", help="only the first so many")
    add(
        "--save-maps",
        choices=DETAILS,
        help="keep the maps in float16: summed over the channels, or all channels",
    )
    add(
        "--from-maps",
        type=folder,
        metavar="DIR",
        help="score the maps that --save-maps kept in these results; no method is run",
    )
    add(
        "--report-maps",
        type=whole(0),
        default=3,
        metavar="INT",
        help="of so many best and so many worst photographs by each score, small maps by "
        "all methods are kept for `jaxattr report`; 0 for none (default: 3)",
    )
    add_run_options(parser, batch_size=8, out="evaluation", devices=True)
    add_shares(parser)
    add_figure_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it, prints the table, and names the photographs that were skipped."""
    shard = shard_of(arguments)
    names = dict.fromkeys(arguments.method or ["saliency", "integrated_gradients"])
    chosen = {name: registry.method(name) for name in names}
    methods = parse_options(arguments.option, chosen)
    metrics = _metrics(arguments)
    figures = figures_of(arguments)
    with Progress(0, quiet=arguments.quiet) as progress:
        evaluation = evaluate(
            load_models(arguments),
            methods,
            metrics,
            arguments.folder,
            arguments.labels,
            key=jax.random.key(arguments.seed),
            mesh=mesh_of(arguments),
            workers=arguments.workers,
            save_maps=arguments.save_maps,
            from_maps=arguments.from_maps,
            out=arguments.out,
            references=arguments.references,
            max_images=arguments.max_images,
            batch_size=arguments.batch_size,
            images_per_part=arguments.images_per_part,
            shard=shard,
            on_missing=arguments.on_missing,
            only_prepare=arguments.prepare,
            explained=arguments.explained,
            report_maps=arguments.report_maps,
            run=run_of(arguments, methods=tuple(chosen), folder=arguments.folder),
            figure_files=figures,
            progress=progress,
        )
    if arguments.prepare or shard.count > 1:
        scored = len(evaluation.results[0].labels) if evaluation.results else 0
        return print_share(arguments, shard, scored, evaluation.broken)
    root = as_path(arguments.folder)
    known = [Labelled(root / name, "") for name in evaluation.names]
    unread = [
        *left_out(root, known, arguments.labels),
        *unread_in([arguments.references]),
    ]
    return print_evaluation(arguments, evaluation, evaluation.broken, unread)


def print_evaluation(
    arguments: argparse.Namespace,
    evaluation: Evaluation,
    skipped: Sequence[str],
    unread: Sequence[Unread] = (),
) -> int:
    """Prints the table; see ``print_results``."""
    better = {m.name: m.better for m in evaluation.metrics if m.better}
    lines = [
        format_table(*evaluation.short_summary()),
        "",
        ", ".join(f"{name}: {word} is better" for name, word in better.items()),
        "in brackets: 95 % of where the mean over the photographs may lie",
        f"tables and figures: {arguments.out}",
    ]
    header, rows = evaluation.summary()
    return print_results(
        arguments,
        "\n".join(lines),
        [dict(zip(header, row, strict=True)) for row in rows],
        skipped,
        unread,
    )


def _metrics(arguments: argparse.Namespace) -> tuple[AnyMetric, ...]:
    """Each metric that is asked for; curves in each order.

    Raises:
      ValueError: an option that none of the metrics has.
    """
    names = list(dict.fromkeys(arguments.metric or ["insertion", "deletion"]))
    asked = as_metrics(names)
    given = {
        "--order": ("order", arguments.order),
        "--curve-steps": ("num_steps", arguments.curve_steps),
        "--scored": ("scored", arguments.scored),
    }
    for flag, (option, value) in given.items():
        if value is not None and not any(option in m.options for m in asked):
            raise ValueError(f"{flag}: not an option of {' or '.join(names)}")
    if arguments.scored == "given" and arguments.explained == "predicted":
        raise ValueError("--scored: curves follow the class explained, the predicted")
    options = {
        option: value
        for flag, (option, value) in given.items()
        if value is not None and flag != "--order"
    }
    found = [
        metric
        for order in dict.fromkeys(arguments.order or [Curve().order])
        for metric in with_options(asked, {**options, "order": order})
    ]
    return tuple(dict.fromkeys(found))
