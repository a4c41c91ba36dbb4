"""The command that made a folder of results, for readers: ``run.json``."""

from __future__ import annotations

import contextlib
import json
import pathlib
import platform
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

import jaxattr
from jaxattr._locations import as_path
from jaxattr.evaluation.runs.files import atomic_write


class Run(NamedTuple):
    """What was asked for. Nothing in it changes from one equal run to the next."""

    command: str
    """Such as ``explain``."""
    arguments: Sequence[str] = ()
    """All that was typed after ``jaxattr``."""
    methods: Sequence[str] = ()
    """In the order in which they were asked for."""
    photographs: Sequence[str] = ()
    """Files, where there is no other list of them."""
    folder: str | None = None
    """Of the photographs, where the command takes one."""
    models: Sequence[str] = ()
    """In their order, where the command takes several."""


def write_run(folder: pathlib.Path, run: Run | None) -> None:
    """Writes ``run.json`` beside the results, with the versions that made them.

    Args:
      folder: of the results, which must be those of this run.
      run: what was asked for; None, for a call from Python, writes nothing.

    Raises:
      OSError: it cannot be written.
    """
    if run is None:
        return
    record = run._asdict() | {
        "arguments": list(run.arguments),
        "methods": list(run.methods),
        "models": list(run.models),
        "photographs": [str(name) for name in run.photographs],
        "folder": None if run.folder is None else str(as_path(run.folder).resolve()),
        "versions": {
            "jaxattr": jaxattr.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    path, text = folder / "run.json", (json.dumps(record, indent=1) + "\n").encode()
    with contextlib.suppress(OSError):
        if path.read_bytes() == text:
            return
    with atomic_write(path) as file:
        file.write(text)
