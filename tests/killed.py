"""A command in a process of its own that is killed in the middle of its work."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence

_TESTS = pathlib.Path(__file__).resolve().parent
_CODE = """
import importlib, sys, time
sys.path[:0] = {paths!r}
import tiny_classifier
import jaxattr as ja

module = importlib.import_module({module!r})
ja.models.load
ja.models.load = lambda name, weights=None, **o: tiny_classifier.tiny_classifier(4)
function, calls = module.{function}, []
def slow(*arguments, **options):
    if len(calls) == {calls}:
        print("half way", flush=True)
        time.sleep(60)
    calls.append(1)
    return function(*arguments, **options)
module.{function} = slow
from jaxattr import cli
cli.main({arguments!r})
"""


def run_and_kill(
    arguments: Sequence[str], *, module: str, function: str, calls: int
) -> None:
    """Runs ``jaxattr`` on the tiny classifier, and kills it with SIGKILL.

    Args:
      arguments: of the command line.
      module: where the function is looked up.
      function: what is called again and again.
      calls: after so many of its calls the process is killed in the next.
    """
    code = _CODE.format(
        paths=[str(_TESTS.parent), str(_TESTS)],
        module=module,
        function=function,
        calls=calls,
        arguments=list(arguments),
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert process.stdout.readline() == "half way\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
