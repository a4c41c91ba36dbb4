"""The command line: which commands there are, and how failures are reported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import jax

import jaxattr
from jaxattr._checks import check_choice
from jaxattr._locations import store_reason
from jaxattr.commands import (
    boundary,
    completion,
    demo,
    evaluate,
    explain,
    merge,
    methods,
    models,
    report,
    robustness,
    spectrum,
)
from jaxattr.commands._compile_cache import kept_programs

COMMANDS = (
    demo,
    explain,
    evaluate,
    boundary,
    spectrum,
    robustness,
    merge,
    report,
    methods,
    models,
    completion,
)
"""Modules with ``add_parser(commands)``, which sets ``run(arguments) -> exit code``."""


MAX_ITEMS = 5
"""Of what does not fit; in Python the error has all."""


class _Parser(argparse.ArgumentParser):
    def _check_value(self, action: argparse.Action, value: object) -> None:
        if isinstance(action, argparse._SubParsersAction):
            # Nearest names are told, as they are for methods.
            try:
                check_choice("command", value, action.choices)
            except ValueError as error:
                self.error(str(error))
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        _complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``jaxattr`` and returns its exit code.

    0: all done. 1: done but for some photographs, which are named. 2: bad input, named
    in one line on the standard error stream.
    """
    typed = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    parsed = parser.parse_args(typed)
    parsed.typed, parsed.parser = typed, parser
    try:
        device = getattr(parsed, "device", None)
        with kept_programs(parsed), jax.default_device(device):
            code = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has seen enough; what Python would flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
    except (ValueError, ImportError) as error:
        _complain(str(error))
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except Exception as error:
        # JAX fails to start in several classes, AssertionError among them.
        reason = store_reason(error) or _why_no_device()
        if reason is None:
            raise
        _complain(reason)
    return 2


def _why_no_device() -> str | None:
    """What keeps JAX from starting a device; None where it has one."""
    try:
        jax.devices()
    except Exception as error:
        platforms = os.environ.get("JAX_PLATFORMS")
        asked = f" (JAX_PLATFORMS={platforms})" if platforms else ""
        reason = str(error) or "JAX could not start one"
        return f"no device{asked}: {reason}"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jaxattr",
        description="Explains what image classifiers decide.",
        epilog="Each command has its own --help. To begin with: jaxattr demo",
    )
    version = f"jaxattr {jaxattr.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def _complain(message: str) -> None:
    """One line; of a list, whose items are indented, the first few."""
    lines = message.splitlines()
    items = [" ".join(line.split()) for line in lines if line.startswith("  ")]
    text = " ".join(" ".join(li for li in lines if not li.startswith("  ")).split())
    if items:
        more = len(items) - MAX_ITEMS
        rest = [f"and {more} more"] if more > 0 else []
        text = f"{text}: {'; '.join(items[:MAX_ITEMS] + rest)}"
    print(f"jaxattr: error: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
