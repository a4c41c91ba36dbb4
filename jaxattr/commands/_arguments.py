"""What the arguments of several commands have in common."""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from jaxattr import plots
from jaxattr._checks import check_choice
from jaxattr._locations import is_url
from jaxattr.commands._compile_cache import add_compile_cache
from jaxattr.commands._devices import add_devices, device
from jaxattr.evaluation.runs.figures import FORMATS, FigureFiles, need_matplotlib
from jaxattr.evaluation.runs.read_ahead import as_workers
from jaxattr.evaluation.runs.run_record import Run

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
    """Where a command adds its parser."""

QUICK_SEARCH = ("deepfool", "ddn", "fab")
"""Members of a boundary search that come near the whole ensemble, which is the default
of the library, at a quarter of its passes: what the commands search with."""


OF_A_SHARE = ("--shard", "--coordinator", "--device", "--devices", "--workers")
"""Options that differ from one share of a job to another and decide no result."""


def run_of(
    arguments: argparse.Namespace,
    *,
    methods: Sequence[str] = (),
    photographs: Sequence[str] = (),
    folder: str | None = None,
    models: Sequence[str] = (),
) -> Run:
    """What was asked for, for the record; see ``Run``."""
    typed = _shared(arguments.typed)
    command = typed[0] if typed else ""
    return Run(command, typed, methods, photographs, folder, models)


def _shared(typed: Sequence[str]) -> list[str]:
    """What was typed, without what differs from one share of a job to another."""
    kept: list[str] = []
    rest = iter(typed)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name in OF_A_SHARE:
            if not equals:
                next(rest, None)
        elif word != "--prepare":
            kept.append(word)
    return kept


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number in a closed interval."""
    expected = f"a whole number of at least {minimum}"
    if maximum is not None:
        expected = f"a whole number from {minimum} to {maximum}"

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[+-]?\d+", text.strip()) else None
        if number is None or number < minimum or (maximum or number) < number:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return number

    return parse


def words(text: str) -> list[str]:
    """An argparse type, for ``action="extend"``: words with commas between them."""
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        expected = f"expected names with commas between them, got {text!r}"
        raise argparse.ArgumentTypeError(expected)
    return found


def folder(text: str) -> str:
    """An argparse type: a folder, there or not, but no file."""
    if not is_url(text) and pathlib.Path(text).is_file():
        raise argparse.ArgumentTypeError(f"expected a folder, got the file {text!r}")
    return text


def workers(text: str) -> str:
    """An argparse type: who reads photographs."""
    try:
        as_workers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("workers: ")) from None
    return text


def add_run_options(
    parser: argparse.ArgumentParser,
    *,
    batch_size: int,
    out: str,
    devices: bool = False,
) -> None:
    """``--seed``, ``--batch-size`` and ``--out``, with these defaults; for jobs over
    many photographs ``--devices`` and ``--workers``."""
    add = parser.add_argument
    add("--seed", type=whole(0, 2**32 - 1), default=0, metavar="INT", help="default: 0")
    add(
        "--batch-size",
        type=whole(1),
        default=batch_size,
        metavar="INT",
        help="most model rows in one call; lower it to save memory (default: "
        "%(default)s)",
    )
    add("--out", type=folder, default=out, metavar="DIR", help="default: %(default)s")
    add(
        "--device",
        type=device,
        metavar="NAME",
        help="such as cpu, gpu or gpu:1 (default: what JAX finds)",
    )
    if devices:
        add_devices(parser)
        add(
            "--workers",
            type=workers,
            metavar="N",
            help="threads that read photographs while the devices compute (default: one "
            "a core, at most 16), or processes:N, for data sets in Python code",
        )
    add_compile_cache(parser)
    add("--json", action="store_true", help="print results as JSON, no table")
    add("--quiet", action="store_true", help="print warnings and errors only")


def add_labels(parser: argparse.ArgumentParser) -> None:
    """``--labels``, the table of a folder that has no folder a class."""
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="a table with the columns file and class (default: labels.tsv, "
        "labels.csv or boxes.tsv in FOLDER)",
    )


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """``--option`` and ``--references`` of methods."""
    add = parser.add_argument
    add(
        "--option",
        action="append",
        default=[],
        metavar="METHOD.NAME=VALUE",
        help="an option of a method, such as attexplore.num_steps=5; "
        "`jaxattr methods` lists them",
    )
    add("--references", metavar="DIR", help="photographs, for expected_gradients")


def add_figure_options(parser: argparse.ArgumentParser, *, maps: bool = False) -> None:
    """``--format`` and ``--dpi``; for commands that draw maps, their looks."""
    add = parser.add_argument
    add(
        "--format",
        type=formats,
        default=("png",),
        metavar="LIST",
        help=f"of the figures, commas between them: {', '.join(FORMATS)} (default: png)",
    )
    add(
        "--dpi",
        type=whole(30, 1200),
        default=150,
        metavar="INT",
        help="dots an inch (default: 150)",
    )
    if maps:
        add("--overlay", action="store_true", help="lay maps over the photographs")
        add(
            "--colormap",
            metavar="NAME",
            help="one of matplotlib's (default: blue against the class, red for it); "
            "of figures, and not of reports",
        )


def figures_of(arguments: argparse.Namespace) -> FigureFiles:
    """How figures are written; an unknown colour map is refused before work starts."""
    colors = getattr(arguments, "colormap", None)
    if colors is not None:
        need_matplotlib()
        plots.check_colors(colors)
    overlay = getattr(arguments, "overlay", False)
    return FigureFiles(tuple(arguments.format), arguments.dpi, colors, overlay)


def formats(text: str) -> tuple[str, ...]:
    """An argparse type: formats of figures, each once."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    try:
        return tuple(check_choice("format", name, FORMATS) for name in names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
