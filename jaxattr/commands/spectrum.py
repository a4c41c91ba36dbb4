"""``jaxattr spectrum``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxattr._checks import check_choice
from jaxattr.commands._arguments import (
    add_figure_options,
    add_model,
    add_run_options,
    figures_of,
    load_models,
    print_results,
    run_of,
    whole,
)
from jaxattr.commands._devices import mesh_of
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.parts import Parts
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.run_record import write_run
from jaxattr.evaluation.runs.tables import format_table
from jaxattr.evaluation.spectrum import spectrum
from jaxattr.photographs.reading import read_photograph
from jaxattr.photographs.sets import labelled_photographs, left_out, resolve_labels

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

_EXAMPLES = """\
examples:
  jaxattr spectrum photographs
  jaxattr spectrum photographs --labels labels.csv --bands 6 --max-images 50
  jaxattr spectrum photographs --mce --out robustness
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "spectrum",
        help="which frequency bands models live on",
        description=(
            "Measures how much each frequency band helps each model to the right\n"
            "answer (Shapley values), and writes bands.csv, scores.csv, a figure of the\n"
            "importance, and for each model its numbers, their spread over the images\n"
            "and the interactions of the bands. Stopped, it goes on where it was when\n"
            "it is started again with the same --out."
        ),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="labelled photographs, or a folder a class")
    add_model(parser, several=True)
    add(
        "--labels",
        metavar="FILE",
        help="a table with the columns file and class (default: labels.tsv, "
        "labels.csv or boxes.tsv in FOLDER)",
    )
    add(
        "--bands",
        type=whole(1),
        default=8,
        metavar="INT",
        help="each doubles the model passes: 256 an image for 8 (default: 8)",
    )
    add("--norm", choices=("linf", "l2"), default="linf", help="square or round bands")
    add(
        "--mce",
        nargs="?",
        const="",
        metavar="REFERENCE",
        help="also the mean corruption error, against a model of --model, or against "
        "alexnet as published (default: the first model)",
    )
    add("--max-images", type=whole(1), metavar="INT", help="only the first so many")
    add_run_options(parser, batch_size=16, out="spectrum", devices=True)
    add_figure_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it and prints the two tables."""
    from jaxattr.evaluation.spectrum import report

    settings = spectrum.Settings(
        num_bands=arguments.bands,
        norm=arguments.norm,
        corrupted=arguments.mce is not None,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
    )
    spectrum.check_settings(settings)
    mesh = mesh_of(arguments)
    figures = figures_of(arguments)
    photographs = labelled_photographs(
        arguments.folder, arguments.labels, out=arguments.out
    )
    unread = left_out(arguments.folder, photographs)
    photographs = photographs[: arguments.max_images]
    models = load_models(arguments)
    reference = arguments.mce or next(iter(models))
    check_choice("--mce", reference, (*models, "alexnet"))
    images, labels = {}, {}
    for name, model in models.items():
        seen = [model.preprocess(read_photograph(p.path)) for p in photographs]
        images[name] = np.stack([np.asarray(image, np.float32) for image in seen])
        logits = jax.eval_shape(
            model, jax.ShapeDtypeStruct(images[name][:1].shape, "f4")
        )
        found = resolve_labels(photographs, model.labels, logits.shape[1])
        labels[name] = np.asarray(found, np.int32)
    folder = make_folder(arguments.out)
    write_run(folder, run_of(arguments, folder=arguments.folder))
    total = spectrum.num_parts(len(models), len(photographs), settings)
    with Progress(total, quiet=arguments.quiet) as progress:
        spectra = spectrum.measure(
            models,
            images,
            labels,
            settings,
            parts=Parts(folder / "parts"),
            mesh=mesh,
            progress=progress,
        )
    mce = None
    if arguments.mce is not None:
        mce = spectrum.mean_corruption_errors(spectra, reference)
    report.write_report(folder, spectra, mce, figures)
    bands, scores = report.band_table(spectra), report.score_table(spectra, mce)
    tables = [format_table(*report.as_text(*table)) for table in (bands, scores)]
    if any(len(s.correct) < 2 for s in spectra):
        print("jaxattr: one photograph has no standard error", file=sys.stderr)
    return print_results(
        arguments,
        "\n\n".join([*tables, f"tables and figures: {folder}"]),
        [dict(zip(bands[0], row, strict=True)) for row in bands[1]],
        unread=unread,
    )
