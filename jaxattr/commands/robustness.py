"""``jaxattr robustness``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jaxattr._checks import check_choice
from jaxattr._locations import as_path
from jaxattr.commands._arguments import (
    add_figure_options,
    add_run_options,
    figures_of,
    run_of,
    whole,
    words,
)
from jaxattr.commands._devices import mesh_of
from jaxattr.commands._models import add_model, load_model
from jaxattr.commands._photographs import unread_in
from jaxattr.commands._results import print_results
from jaxattr.commands._shares import add_shares, print_share, shard_of
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import parse_options
from jaxattr.evaluation.robustness import robustness
from jaxattr.evaluation.robustness.gather import MethodRobustness
from jaxattr.evaluation.robustness.settings import EXPLANATION_ATTACKS, Settings
from jaxattr.evaluation.runs.image_sets import PhotographFolder
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.run_record import write_run
from jaxattr.evaluation.runs.tables import format_table
from jaxattr.evaluation.runs.unfinished import Unfinished
from jaxattr.photographs.reading import Unread
from jaxattr.typing import Array

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr robustness photographs
  jaxattr robustness photographs --method saliency --attack top_k --epsilon 1,2,4,8
  jaxattr robustness photographs --method integrated_gradients \\
      --option integrated_gradients.num_steps=10 --attack lens --max-images 20
"""
_CAPPED = ("efficientnet_lite", "mobilenet")
"""Models with ReLU6."""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "robustness",
        help="how far small changes of the image move an explanation",
        description=(
            "Attacks the explanation of what is predicted for each photograph, with the\n"
            "prediction held, and writes images.csv, summary.csv and a figure a method:\n"
            "top-k intersection, LENS and diverse LENS against the budget, with what\n"
            "unrelated maps reach beside them. Stopped, it goes on where it was when it\n"
            "is started again with the same --out."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="of photographs")
    add_model(parser)
    add(
        *("--method", "--methods"),
        action="extend",
        type=words,
        metavar="NAME",
        help="may be given several times (default: saliency)",
    )
    add("--option", action="append", default=[], metavar="METHOD.NAME=VALUE")
    add(
        "--attack",
        action="append",
        metavar="NAME",
        help=f"may be given several times: {', '.join(EXPLANATION_ATTACKS)} "
        "(default: random_sign, mass_center and top_k)",
    )
    add(
        "--epsilon",
        default="1,2,4,8",
        metavar="LIST",
        help="budgets in 1/255, commas between them (default: %(default)s)",
    )
    add("--k", type=whole(1), metavar="INT", help="pixels (default: 2%%, at most 1000)")
    add(
        "--window", type=whole(0), default=3, metavar="INT", help="of LENS (default: 3)"
    )
    add("--steps", type=whole(1), default=20, metavar="INT", help="default: 20")
    add(
        "--beta",
        type=float,
        default=10.0,
        metavar="NUMBER",
        help="sharpness of the softplus that stands for ReLU in the twin that attacks "
        "follow; 0 for no twin (default: 10)",
    )
    add("--max-images", type=whole(1), metavar="INT", help="only the first so many")
    add_run_options(parser, batch_size=4, out="robustness", devices=True)
    add_shares(parser)
    add_figure_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it and prints the table."""
    from jaxattr.evaluation.robustness import outputs
    from jaxattr.evaluation.robustness.merge import claim_folder

    shard = shard_of(arguments)
    figures, mesh = figures_of(arguments), mesh_of(arguments)
    names = dict.fromkeys(arguments.method or ["saliency"])
    chosen = {name: registry.method(name) for name in names}
    options = parse_options(arguments.option, chosen)
    defaults = Settings._field_defaults["attacks"]
    attacks = tuple(dict.fromkeys(arguments.attack or defaults))
    for attack in attacks:
        check_choice("--attack", attack, EXPLANATION_ATTACKS)
    for method in chosen.values():
        if method.needs_references:
            raise ValueError(
                f"{method.name}: needs references, which are not given here"
            )
    epsilons = tuple(_budget(text) / 255 for text in arguments.epsilon.split(","))
    if not 0 <= arguments.beta < float("inf"):
        raise ValueError(f"--beta: expected a number from 0, got {arguments.beta}")
    model = load_model(arguments.model, arguments)
    photographs = PhotographFolder(
        arguments.folder,
        {arguments.model: model},
        max_images=arguments.max_images,
        out=arguments.out,
        on_missing=arguments.on_missing,
        labelled=False,
    )
    (shape,) = photographs.shapes.values()
    settings = Settings(
        attacks=attacks,
        epsilons=epsilons,
        k=arguments.k or max(1, min(1000, shape[1] * shape[2] // 50)),
        window=arguments.window,
        num_steps=arguments.steps,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        images_per_batch=min(arguments.batch_size, len(photographs)),
    )
    robustness.check_settings(settings, shape)
    photographs.examine()
    warn = lambda text: print(f"jaxattr: warning: {text}", file=sys.stderr)
    for method in chosen.values():
        if not method.differentiable and set(attacks) != {"random_sign"}:
            warn(
                f"{method.name} takes signs or sorts: only random_sign moves it surely"
            )
    if not arguments.beta and set(attacks) != {"random_sign"}:
        warn(
            "without a twin the curvature of a ReLU network is zero: attacks stand still"
        )
    twin = model
    if arguments.beta:
        twin = load_model(arguments.model, arguments, activation=_smooth(arguments))
    folder = as_path(arguments.out, shared=True)
    files = RowFiles(folder / "parts")
    methods = {name: (chosen[name], options[name]) for name in chosen}
    twin_name = f"beta={arguments.beta}"
    tables = robustness.tables_of(
        *(model, twin, methods, settings, files), twin_name=twin_name
    )
    about = {"name": arguments.model, "twin": twin_name}
    claim_folder(folder, settings, about, methods, tables)
    given = photographs.image_set(folder)
    asked = run_of(
        arguments,
        methods=tuple(chosen),
        photographs=given.names,
        folder=arguments.folder,
    )
    write_run(folder, asked)
    if arguments.prepare:
        return print_share(arguments, shard, 0, given.broken)
    unfinished = Unfinished(folder / "images.csv")
    gone: list[int] = []
    with Progress(0, quiet=arguments.quiet) as progress:
        results = robustness.measure(
            *(model, twin, given, given.names, methods, settings),
            twin_name=twin_name,
            files=files,
            images_per_part=arguments.images_per_part,
            shard=shard,
            mesh=mesh,
            workers=arguments.workers,
            progress=progress,
            gone=gone,
            so_far=None
            if shard.count > 1
            else lambda found: unfinished.write(
                lambda: outputs.image_table(found(), given.names)
            ),
        )
    broken = [*given.broken, *given.gone_lines(gone)]
    scored = len(results[0].index)
    if shard.count > 1:
        return print_share(arguments, shard, scored, broken)
    outputs.write_report(folder, results, given.names, settings, figures)
    unfinished.remove()
    return print_robustness(
        *(arguments, results, settings, broken), unread_in([arguments.folder])
    )


def print_robustness(
    arguments: argparse.Namespace,
    results: Sequence[MethodRobustness],
    settings: Settings,
    skipped: Sequence[str] = (),
    unread: Sequence[Unread] = (),
) -> int:
    """Prints the table; see ``print_results``."""
    from jaxattr.evaluation.robustness import outputs

    lines = [
        format_table(*outputs.short_summary(results, settings)),
        "",
        "in brackets: what unrelated maps reach (the highest of three nulls)",
        f"tables and figures: {arguments.out}",
    ]
    header, rows = outputs.summary(results, settings)
    records = [dict(zip(header, row, strict=True)) for row in rows]
    return print_results(arguments, "\n".join(lines), records, skipped, unread)


def _budget(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 255:
        raise ValueError(
            f"--epsilon: expected numbers above 0, up to 255, got {text!r}"
        )
    return value


def _smooth(arguments: argparse.Namespace) -> Callable[[Array], Array]:
    from jaxattr.models import SmoothRelu

    if arguments.model.startswith(_CAPPED):
        return SmoothRelu(arguments.beta, 6.0)
    return SmoothRelu(arguments.beta)
