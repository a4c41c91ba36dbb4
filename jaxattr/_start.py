"""JAX is imported here before anything else: what keeps it from starting is named.

JAX reads variables of the environment (``JAX_ENABLE_X64=maybe``) when it is imported. For
a program that imports this package its error is the right one; the command line owes
its user one line.
"""

from __future__ import annotations

import os
import pathlib
import sys


def is_command_line(program: str, original: list[str]) -> bool:
    """Whether this process is ``jaxattr``, or ``python -m jaxattr``.

    Args:
      program: ``sys.argv[0]``, which is ``-m`` as long as the module is looked for.
      original: ``sys.orig_argv``, what the interpreter was started with.

    >>> is_command_line("/usr/bin/jaxattr", ["python", "/usr/bin/jaxattr", "demo"])
    True
    >>> is_command_line("-m", ["python", "-m", "jaxattr", "demo"])
    True
    >>> is_command_line("train.py", ["python", "train.py", "jaxattr"])
    False
    """
    if program == "-m":
        module = original[original.index("-m") + 1]
        return module in ("jaxattr", "jaxattr.cli")
    return pathlib.PurePath(program).stem == "jaxattr"


try:
    import jax  # noqa: F401
except Exception as error:
    if not is_command_line(sys.argv[0] if sys.argv else "", sys.orig_argv):
        raise
    reason = " ".join(str(error).split()) or type(error).__name__
    given = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("JAX_")]
    asked = f" (the environment has {', '.join(given)})" if given else ""
    print(f"jaxattr: error: JAX does not start: {reason}{asked}", file=sys.stderr)
    raise SystemExit(2) from None
