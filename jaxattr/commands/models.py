"""``jaxattr models``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jaxattr._checks import check_choice
from jaxattr.commands._arguments import whole
from jaxattr.commands._model_requests import DTYPES

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    text = "list the classifiers that can be explained, or fetch the weights of one"
    parser = commands.add_parser(
        "models", help=text, description=text[0].upper() + text[1:]
    )
    parser.add_argument(
        "--benchmark",
        metavar="NAME",
        help="print what one costs instead: parameters, multiply-adds, memory of a "
        "gradient, images a second on this machine, with random weights",
    )
    parser.add_argument(
        "--batch-size",
        type=whole(1),
        default=8,
        metavar="INT",
        help="images that are timed together (default: 8)",
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, help="what is computed in (default: float32)"
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(metavar="ACTION")
    text = "download the weights of a model into the cache of the Hugging Face hub"
    fetch_parser = actions.add_parser(
        "fetch", help=text, description=text[0].upper() + text[1:]
    )
    fetch_parser.add_argument(
        "name", metavar="NAME", help="as `jaxattr models` lists it"
    )
    fetch_parser.add_argument(
        "--revision",
        help="branch, tag or commit of the repository (default: the newest)",
    )
    fetch_parser.set_defaults(run=fetch)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table, a line for each set of weights, the default of a model first."""
    from jaxattr import models

    if arguments.benchmark is not None:
        return benchmark(arguments)
    lines = [("model", "source", "top-1 %", "MB", "weights")]
    for name in models.names():
        for entry in models.descriptions(name):
            size = "" if entry.megabytes is None else f"{entry.megabytes:.0f}"
            top_1 = "" if entry.top_1 is None else f"{entry.top_1:g}"
            lines.append((name, entry.source, top_1, size, entry.where))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    for name, source, top_1, size, where in lines:
        left = f"{name:{widths[0]}}  {source:{widths[1]}}  {top_1:{widths[2]}}"
        print(f"{left}  {size:>{widths[3]}}  {where}")
    return 0


def benchmark(arguments: argparse.Namespace) -> int:
    """Prints what a network costs, a line for each number."""
    import jax

    from jaxattr import models
    from jaxattr.models.cost import cost

    name, dtype = arguments.benchmark, arguments.dtype or "float32"
    check_choice("--benchmark", name, models.names())
    model = models.load(
        name,
        "random",
        key=jax.random.key(0),
        dtype=None if dtype == "float32" else dtype,
    )
    found = cost(model, batch_size=arguments.batch_size)
    height, width = model.input_size
    held = found.gradient_bytes
    lines = (
        ("parameters", f"{found.parameters / 1e6:.1f} M"),
        ("multiply-adds", f"{found.multiply_adds / 1e9:.2f} G an image"),
        ("gradient", "" if held is None else f"{held / 1e6:.1f} MB an image"),
        ("forward passes", f"{found.forward:.1f} images/s"),
        ("input gradients", f"{found.gradient:.1f} images/s"),
    )
    device = jax.devices()[0].device_kind
    print(
        f"{name}, {height}x{width}, {dtype}, {arguments.batch_size} at once, {device}"
    )
    for what, number in lines:
        print(f"  {what:15}  {number or 'unknown'}")
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Prints where the file is."""
    from jaxattr import models

    print(models.fetch(arguments.name, revision=arguments.revision))
    return 0
