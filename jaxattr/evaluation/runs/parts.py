"""Results that are arrays by name: each is kept as soon as it is made, and made once.

A part is known by what it was made from (settings, digests of weights and images, and
the version of this library).
So a job that was killed goes on where it stopped when it is started again, one with
other settings makes what it lacks, and nothing stale is ever taken for an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Collection, Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

import jaxattr
from jaxattr.evaluation.runs.files import atomic_write, make_folder
from jaxattr.typing import Array

MadeFrom = Mapping[str, object]
"""All that decides a part, as JSON takes it."""

Computation = Callable[[], Mapping[str, ArrayLike | Array]]
"""Makes a part: its arrays by name."""


class Parts:
    """Arrays on disk, one ``.npz`` file a part.

    Args:
      folder: where they are kept; made if need be.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = make_folder(folder)

    def find(self, name: str, made_from: MadeFrom) -> dict[str, np.ndarray] | None:
        """The part, if it is there and whole.

        Args:
          name: as ``make`` takes it.
          made_from: all that decides the result, as JSON takes it.
        """
        return read_arrays(self._path(name, made_from))

    def make(
        self, name: str, made_from: MadeFrom, compute: Computation
    ) -> dict[str, np.ndarray]:
        """The part as it was kept, or computed now and kept.

        Args:
          name: for readers of the folder, letters that suit a file name.
          made_from: all that decides the result, as JSON takes it.
          compute: to the arrays of the part by name.

        Raises:
          OSError: it cannot be written.
        """
        found = self.find(name, made_from)
        return self.remake(name, made_from, compute()) if found is None else found

    def remake(
        self, name: str, made_from: MadeFrom, part: Mapping[str, ArrayLike | Array]
    ) -> dict[str, np.ndarray]:
        """Keeps a part, whether or not there was one.

        Args:
          name: as ``make`` takes it.
          made_from: all that decides the result, as JSON takes it.
          part: its arrays by name.

        Returns:
          The part as ``find`` gives it.

        Raises:
          OSError: it cannot be written.
        """
        arrays = as_arrays(part)
        with atomic_write(self._path(name, made_from)) as file:
            write_arrays(file, arrays)
        return arrays

    def _path(self, name: str, made_from: MadeFrom) -> pathlib.Path:
        return self._folder / f"{name}-{mark_of(made_from)}.npz"


def mark_of(made_from: MadeFrom) -> str:
    """All that decides a part, and the version of this library, as a short text."""
    text = json.dumps({"jaxattr": jaxattr.__version__, **made_from}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def read_arrays(
    path: pathlib.Path, only: Collection[str] | None = None
) -> dict[str, np.ndarray] | None:
    """The arrays of a file by name; None where it is not there, or not whole.

    Args:
      path: of a file that ``write_arrays`` made.
      only: the names of those that are read; of the others there are no rows.
    """
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            return {
                key: archive[key] if only is None or key in only else np.zeros(0)
                for key in archive.files
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def as_arrays(part: Mapping[str, ArrayLike | Array]) -> dict[str, np.ndarray]:
    """A part as it is kept."""
    return {key: np.asarray(value) for key, value in part.items()}


def write_arrays(
    file: BinaryIO, arrays: Mapping[str, ArrayLike], *, compress: bool = False
) -> None:
    """An ``.npz`` of arrays by name, the same bytes for the same arrays."""
    save: Callable[..., None] = np.savez_compressed if compress else np.savez
    save(file, **arrays)
