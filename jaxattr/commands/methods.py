"""``jaxattr methods``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from jaxattr.evaluation.methods import registry
from jaxattr.evaluation.methods.options import defaults, search_defaults, to_json

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    text = "list the methods and their options"
    parser = commands.add_parser(
        "methods", help=text, description=text[0].upper() + text[1:]
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints each method and its options with their defaults."""
    for name, method in registry.methods().items():
        print(name)
        for option, default in json.loads(to_json(defaults(method))).items():
            print(f"  {option}={_as_typed(default)}")
            if option == "search":
                for name, inner in json.loads(to_json(search_defaults())).items():
                    print(f"  {option}.{name}={_as_typed(inner)}")
    return 0


def _as_typed(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
