"""``jaxattr spectrum``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxattr._checks import check_choice
from jaxattr._locations import as_path
from jaxattr.commands._arguments import (
    add_figure_options,
    add_labels,
    add_run_options,
    figures_of,
    run_of,
    whole,
)
from jaxattr.commands._devices import mesh_of
from jaxattr.commands._models import add_model, load_models
from jaxattr.commands._results import print_results
from jaxattr.commands._shares import add_shares, print_share, shard_of
from jaxattr.evaluation.runs.image_sets import PhotographFolder
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.rows import RowFiles
from jaxattr.evaluation.runs.run_record import write_run
from jaxattr.evaluation.runs.tables import format_table
from jaxattr.evaluation.runs.unfinished import Unfinished
from jaxattr.evaluation.spectrum import spectrum
from jaxattr.evaluation.spectrum.gather import ModelSpectrum
from jaxattr.photographs.reading import Unread
from jaxattr.photographs.sets import Labelled, left_out

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
    add_labels(parser)
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
    add_shares(parser)
    add_figure_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it and prints the two tables."""
    from jaxattr.evaluation.spectrum import outputs
    from jaxattr.evaluation.spectrum.merge import claim_folder

    settings = spectrum.Settings(
        num_bands=arguments.bands,
        norm=arguments.norm,
        corrupted=arguments.mce is not None,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
    )
    spectrum.check_settings(settings)
    shard, mesh, figures = (
        shard_of(arguments),
        mesh_of(arguments),
        figures_of(arguments),
    )
    models = load_models(arguments)
    reference = None
    if arguments.mce is not None:
        reference = arguments.mce or next(iter(models))
        check_choice("--mce", reference, (*models, "alexnet"))
    photographs = PhotographFolder(
        arguments.folder,
        models,
        table=arguments.labels,
        max_images=arguments.max_images,
        out=arguments.out,
        on_missing=arguments.on_missing,
    )
    for shape in photographs.shapes.values():
        spectrum.check_size(shape, settings)
    photographs.examine()
    folder = as_path(arguments.out, shared=True)
    files = RowFiles(folder / "parts")
    tables = spectrum.tables_of(models, settings, files)
    claim_folder(folder, settings, models, tables, reference)
    given = photographs.image_set(folder)
    asked = run_of(
        arguments,
        models=tuple(models),
        photographs=given.names,
        folder=arguments.folder,
    )
    write_run(folder, asked)
    if arguments.prepare:
        return print_share(arguments, shard, 0, given.broken)
    settings = settings._replace(images_per_batch=min(4, len(given.names)))
    unfinished = Unfinished(folder / "bands.csv")
    gone: list[int] = []
    with Progress(0, quiet=arguments.quiet) as progress:
        spectra = spectrum.measure(
            *(models, given, None, settings),
            files=files,
            images_per_part=arguments.images_per_part,
            shard=shard,
            mesh=mesh,
            workers=arguments.workers,
            progress=progress,
            gone=gone,
            so_far=None
            if shard.count > 1
            else lambda found: unfinished.write(lambda: outputs.band_table(found())),
        )
    broken = [*given.broken, *given.gone_lines(gone)]
    if shard.count > 1:
        scored = len(spectra[0].index) if spectra else 0
        return print_share(arguments, shard, scored, broken)
    mce = None
    if reference is not None:
        mce = spectrum.mean_corruption_errors(spectra, reference)
    outputs.write_report(folder, spectra, mce, figures)
    unfinished.remove()
    root = as_path(arguments.folder)
    known = [Labelled(root / name, "") for name in given.names]
    unread = left_out(root, known, arguments.labels)
    return print_spectra(arguments, spectra, mce, broken, unread)


def print_spectra(
    arguments: argparse.Namespace,
    spectra: Sequence[ModelSpectrum],
    mce: dict[str, float] | None,
    skipped: Sequence[str] = (),
    unread: Sequence[Unread] = (),
) -> int:
    """Prints the two tables; see ``print_results``."""
    from jaxattr.evaluation.spectrum import outputs

    bands, scores = outputs.band_table(spectra), outputs.score_table(spectra, mce)
    tables = [format_table(*outputs.as_text(*table)) for table in (bands, scores)]
    if any(len(s.correct) < 2 for s in spectra):
        print("jaxattr: one photograph has no standard error", file=sys.stderr)
    return print_results(
        arguments,
        "\n\n".join([*tables, f"tables and figures: {arguments.out}"]),
        [dict(zip(bands[0], row, strict=True)) for row in bands[1]],
        skipped,
        unread,
    )
