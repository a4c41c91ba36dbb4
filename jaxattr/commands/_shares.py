"""``--shard`` and what else a job over many photographs takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxattr.commands._arguments import whole
from jaxattr.commands._results import print_results
from jaxattr.evaluation.runs.image_sets import ON_MISSING
from jaxattr.evaluation.runs.shards import (
    WHOLE,
    Shard,
    distributed_shard,
    parse_shard,
)
from jaxattr.evaluation.runs.work import IMAGES_PER_PART

COORDINATOR_SECONDS = 120
"""So long ``--shard auto`` waits for the other processes."""


def add_shard(parser: argparse.ArgumentParser, then: str) -> None:
    """``--shard`` and ``--coordinator``.

    Args:
      parser: of the command.
      then: what makes the tables when all shares are done.
    """
    add = parser.add_argument
    add(
        "--shard",
        type=_shard,
        metavar="I/N|auto",
        help=f"do the share I of N, counted from 0, of the photographs; {then} when all "
        "are done. auto: as jax.distributed counts the processes of a Slurm job, an MPI "
        "job or a TPU pod",
    )
    add(
        "--coordinator",
        metavar="HOST:PORT[,I/N]",
        help="for --shard auto elsewhere: the address of the first process, and which "
        "of how many this one is",
    )


def add_shares(parser: argparse.ArgumentParser) -> None:
    """``--shard``, ``--coordinator``, ``--prepare``, ``--on-missing`` and
    ``--images-per-part``."""
    add_shard(parser, "`jaxattr merge DIR` makes the tables")
    add = parser.add_argument
    add(
        "--prepare",
        action="store_true",
        help="only look at the photographs, so that no share has to do it",
    )
    add(
        "--on-missing",
        choices=ON_MISSING,
        default="skip",
        help="what to do when a photograph is gone since the run began (default: skip "
        "it, and name it)",
    )
    add(
        "--images-per-part",
        type=whole(1),
        default=IMAGES_PER_PART,
        metavar="INT",
        help="the most photographs in one file of results (default: %(default)s)",
    )


def shard_of(arguments: argparse.Namespace) -> Shard:
    """The share that is asked for. To be called before JAX is used.

    Raises:
      ValueError: ``auto`` where nothing says which it is.
    """
    if arguments.coordinator is not None and arguments.shard != "auto":
        raise ValueError("--coordinator: only for --shard auto")
    if arguments.shard == "auto":
        return distributed_shard(arguments.coordinator, timeout=COORDINATOR_SECONDS)
    shard: Shard = arguments.shard or WHOLE
    return shard


def print_share(
    arguments: argparse.Namespace, shard: Shard, scored: int, skipped: Sequence[str]
) -> int:
    """Prints what a share has done, and how to go on; see ``print_results``."""
    if arguments.prepare:
        text = f"the photographs are known; start the shares with --out {arguments.out}"
    elif not scored and not skipped:
        text = f"shard {shard}: nothing to do, there are fewer photographs than shares"
        print(f"jaxattr: {text}", file=sys.stderr)
    else:
        text = (
            f"shard {shard}: {scored:,} photographs are done; when all shards are: "
            f"jaxattr merge {arguments.out}"
        )
    record = {"shard": str(shard), "photographs": scored}
    return print_results(arguments, text, [record], skipped)


def _shard(text: str) -> Shard | str:
    if text == "auto":
        return text
    try:
        return parse_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
