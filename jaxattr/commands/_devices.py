"""``--device`` and ``--devices``: on what a command computes."""

from __future__ import annotations

import argparse

import jax
import numpy as np
from jax.sharding import Mesh


def device(text: str) -> jax.Device:
    """An argparse type: a device of JAX, by platform and number."""
    platform, _, number = text.partition(":")
    try:
        found = jax.devices(platform)
        return found[int(number or 0)]
    except (RuntimeError, ValueError, IndexError):
        platforms = dict.fromkeys(d.platform for d in jax.devices())
        known = ", ".join(dict.fromkeys([*platforms, "cpu"]))
        raise argparse.ArgumentTypeError(
            f"no device {text!r}; there are: {known}"
        ) from None


def add_devices(parser: argparse.ArgumentParser) -> None:
    """``--devices``."""
    parser.add_argument(
        "--devices",
        type=_all_or_number,
        metavar="all|INT",
        help="how many devices share the images, from --device on (default: all, or the "
        "one that --device names)",
    )


def mesh_of(arguments: argparse.Namespace) -> Mesh | None:
    """The devices that are asked for; None where it is one, the default of JAX.

    Raises:
      ValueError: there are not so many.
    """
    first, asked = arguments.device, arguments.devices
    # Of this process: another host of the same job has photographs of its own.
    known = jax.local_devices(backend=first.platform if first else None)
    known = known[known.index(first) :] if first else known
    asked = asked or (1 if first else "all")
    count = len(known) if asked == "all" else int(asked)
    if count > len(known):
        after = f" from --device {first.platform}:{first.id} on" if first else ""
        raise ValueError(f"--devices: there are {len(known)}{after}, got {count}")
    return Mesh(np.array(known[:count]), "images") if count > 1 else None


def _all_or_number(text: str) -> int | str:
    if text == "all":
        return text
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"expected all, or a whole number of at least 1, got {text!r}"
    )
