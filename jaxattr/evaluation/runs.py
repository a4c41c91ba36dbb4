"""Long jobs in parts: each is kept as soon as it is made, and made only once.

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
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import jaxattr
from jaxattr.evaluation.files import atomic_write, make_folder


class Parts:
    """Arrays on disk, one ``.npz`` file a part.

    Args:
      folder: where they are kept; made if need be.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = make_folder(folder)

    def find(
        self, name: str, made_from: Mapping[str, Any]
    ) -> dict[str, np.ndarray] | None:
        """The part, if it is there and whole."""
        try:
            # Opened here: numpy leaves a damaged file open.
            with open(self._path(name, made_from), "rb") as file:
                archive = np.load(file, allow_pickle=False)
                return {key: archive[key] for key in archive.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def make(
        self,
        name: str,
        made_from: Mapping[str, Any],
        compute: Callable[[], Mapping[str, Any]],
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
        if found is not None:
            return found
        arrays = {key: np.asarray(value) for key, value in compute().items()}
        with atomic_write(self._path(name, made_from)) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return arrays

    def _path(self, name: str, made_from: Mapping[str, Any]) -> pathlib.Path:
        made = {"jaxattr": jaxattr.__version__, **made_from}
        text = json.dumps(made, sort_keys=True)
        mark = hashlib.sha256(text.encode()).hexdigest()[:20]
        return self._folder / f"{name}-{mark}.npz"


def digest(tree: Any) -> str:
    """A short text that changes with any number of a pytree of arrays.

    >>> digest([np.zeros(2), np.ones(2)]) == digest([np.zeros(2), np.ones(2)])
    True
    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2)))
    False
    """
    sha = hashlib.sha256()
    leaves, structure = jax.tree.flatten(tree)
    sha.update(str(structure).encode())
    for leaf in leaves:
        array = np.asarray(leaf)
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:20]
