"""``jaxattr robustness``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jaxattr._checks import check_choice
from jaxattr.commands._arguments import (
    add_figure_options,
    add_model,
    add_run_options,
    figures_of,
    load_model,
    print_results,
    run_of,
    unread_in,
    whole,
)
from jaxattr.commands._devices import mesh_of
from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import parse_options
from jaxattr.evaluation.robustness import robustness
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.parts import Parts
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import write_run
from jaxattr.evaluation.runs.tables import format_table
from jaxattr.photographs.reading import list_photographs, read_photograph
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
        "--method",
        action="append",
        metavar="NAME",
        help="may be given several times (default: saliency)",
    )
    add("--option", action="append", default=[], metavar="METHOD.NAME=VALUE")
    add(
        "--attack",
        action="append",
        metavar="NAME",
        help=f"may be given several times: {', '.join(robustness.EXPLANATION_ATTACKS)} "
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
    add_figure_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it and prints the table."""
    from jaxattr.evaluation.robustness import report

    figures, mesh = figures_of(arguments), mesh_of(arguments)
    names = dict.fromkeys(arguments.method or ["saliency"])
    chosen = {name: registry.method(name) for name in names}
    options = parse_options(arguments.option, chosen)
    defaults = robustness.Settings._field_defaults["attacks"]
    attacks = tuple(dict.fromkeys(arguments.attack or defaults))
    for attack in attacks:
        check_choice("--attack", attack, robustness.EXPLANATION_ATTACKS)
    for method in chosen.values():
        if method.needs_references:
            raise ValueError(
                f"{method.name}: needs references, which are not given here"
            )
    epsilons = tuple(_budget(text) / 255 for text in arguments.epsilon.split(","))
    if not 0 <= arguments.beta < float("inf"):
        raise ValueError(f"--beta: expected a number from 0, got {arguments.beta}")
    files = list_photographs(arguments.folder)[: arguments.max_images]
    model = load_model(arguments.model, arguments)
    images, broken = [], []
    for file in files:
        try:
            pixels = model.preprocess(read_photograph(file))
            images.append((file.name, np.asarray(pixels, np.float32)))
        except ValueError as error:
            broken.append(str(error))
    if not images:
        raise ValueError(f"{arguments.folder}: no photograph can be read; {broken[0]}")
    file_names, pixels = [name for name, _ in images], np.stack([x for _, x in images])
    size = pixels.shape[1] * pixels.shape[2]
    settings = robustness.Settings(
        attacks=attacks,
        epsilons=epsilons,
        k=arguments.k or max(1, min(1000, size // 50)),
        window=arguments.window,
        num_steps=arguments.steps,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        images_per_part=arguments.batch_size,
    )
    robustness.check_settings(settings, pixels)
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
    folder = make_folder(arguments.out)
    write_run(folder, run_of(arguments, methods=tuple(chosen), folder=arguments.folder))
    total = robustness.num_parts(len(chosen), len(pixels), settings)
    with Progress(total, quiet=arguments.quiet) as progress:
        results = robustness.measure(
            model,
            twin,
            pixels,
            file_names,
            {name: (chosen[name], options[name]) for name in chosen},
            settings,
            twin_name=f"beta={arguments.beta}",
            parts=Parts(folder / "parts"),
            mesh=mesh,
            progress=progress,
        )
    report.write_report(folder, results, file_names, settings, figures)
    lines = [
        format_table(*report.short_summary(results, settings)),
        "",
        "in brackets: what unrelated maps reach (the highest of three nulls)",
        f"tables and figures: {folder}",
    ]
    header, rows = report.summary(results, settings)
    return print_results(
        arguments,
        "\n".join(lines),
        [dict(zip(header, row, strict=True)) for row in rows],
        broken,
        unread_in([arguments.folder]),
    )


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
