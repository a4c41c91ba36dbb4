"""``jaxattr completion``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jaxattr.evaluation.evaluate.metrics import METRICS
from jaxattr.evaluation.methods import registry

if TYPE_CHECKING:
    from jaxattr.commands._arguments import Commands

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")

_EXAMPLES = """\
examples:
  jaxattr completion bash > ~/.local/share/bash-completion/completions/jaxattr
  jaxattr completion zsh > ~/.zsh/completions/_jaxattr
  jaxattr completion fish > ~/.config/fish/completions/jaxattr.fish
"""


def add_parser(commands: Commands) -> None:
    """Registers the command."""
    text = "print what completes commands and options in a shell"
    parser = commands.add_parser(
        "completion",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="yours")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the script."""
    try:
        import shtab
    except ImportError:
        raise ImportError(
            "completion needs shtab: pip install 'jaxattr[app]'"
        ) from None
    _name_choices(arguments.parser)
    print(shtab.complete(arguments.parser, shell=arguments.shell))
    return 0


def _name_choices(parser: argparse.ArgumentParser) -> None:
    """Tells the shell what names and files arguments take."""
    import shtab

    from jaxattr import models

    names = {
        "method": list(registry.methods()),
        "metric": list(METRICS),
        "model": list(models.names()),
    }
    files = {"photographs": shtab.FILE, "weights": shtab.FILE, "labels": shtab.FILE}
    files |= dict.fromkeys(("folder", "out", "references", "results"), shtab.DIRECTORY)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            # Beside a command stands its help: descriptions are longer than a line.
            for command in action._choices_actions:
                action.choices[command.dest].description = command.help
            for inner in action.choices.values():
                _name_choices(inner)
        elif action.dest in names:
            action.choices = names[action.dest]
        elif action.dest in files:
            vars(action)["complete"] = files[action.dest]
