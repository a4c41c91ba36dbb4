"""``jaxattr spectrum``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import jax
import numpy as np

from jaxattr.commands._arguments import load_model, whole
from jaxattr.evaluation import spectrum
from jaxattr.evaluation.files import make_folder
from jaxattr.evaluation.labelled import labelled_photographs, resolve_labels
from jaxattr.evaluation.photographs import read_photograph
from jaxattr.evaluation.progress import Progress
from jaxattr.evaluation.runs import Parts
from jaxattr.evaluation.table import format_table

_EXAMPLES = """\
examples:
  jaxattr spectrum photographs
  jaxattr spectrum photographs --labels labels.csv --bands 6 --max-images 50
  jaxattr spectrum photographs --mce --out robustness
"""


def add_parser(commands: Any) -> None:
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
    add(
        "--model",
        action="append",
        metavar="NAME",
        help="may be given several times (default: efficientnet_lite0)",
    )
    add("--weights", metavar="PATH", help="a checkpoint file, or the word random")
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
    add("--seed", type=whole(0, 2**32 - 1), default=0, metavar="INT", help="default: 0")
    add(
        "--batch-size",
        type=whole(1),
        default=16,
        metavar="INT",
        help="most model rows in one call; lower it to save memory (default: 16)",
    )
    add("--out", default="spectrum", metavar="DIR", help="default: spectrum")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs it and prints the two tables."""
    from jaxattr.evaluation import spectrum_report

    names = list(dict.fromkeys(arguments.model or ["efficientnet_lite0"]))
    settings = spectrum.Settings(
        num_bands=arguments.bands,
        norm=arguments.norm,
        corrupted=arguments.mce is not None,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
    )
    spectrum.check_settings(settings)
    reference = arguments.mce or names[0]
    if reference not in (*names, "alexnet"):
        known = ", ".join([*names, "alexnet"])
        raise ValueError(f"--mce: expected one of {known}, got {reference!r}")
    photographs = labelled_photographs(arguments.folder, arguments.labels)
    photographs = photographs[: arguments.max_images]
    models = {name: load_model(name, arguments) for name in names}
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
    total = spectrum.num_parts(len(models), len(photographs), settings)
    with Progress(total) as progress:
        spectra = spectrum.measure(
            models,
            images,
            labels,
            settings,
            parts=Parts(folder / "parts"),
            progress=progress,
        )
    mce = None
    if arguments.mce is not None:
        mce = spectrum.mean_corruption_errors(spectra, reference)
    spectrum_report.write_report(folder, spectra, mce)
    bands = spectrum_report.band_table(spectra)
    print(format_table(*spectrum_report.as_text(*bands)))
    print()
    scores = spectrum_report.score_table(spectra, mce)
    print(format_table(*spectrum_report.as_text(*scores)))
    print(f"\ntables and figures: {folder}")
    low = [s.name for s in spectra if len(s.correct) < 2]
    if low:
        print("jaxattr: one photograph has no standard error", file=sys.stderr)
    return 0
