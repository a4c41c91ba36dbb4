"""``jaxattr models``."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Registers the command."""
    text = "list the classifiers that can be explained"
    parser = commands.add_parser("models", help=text, description=text.capitalize())
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints their names."""
    from jaxattr import models

    print("\n".join(models.names()))
    return 0
