"""Long jobs in parts: each is kept as soon as it is made, and made only once.

A part is known by what it was made from (settings, digests of weights and images, and
the version of this library).
So a job that was killed goes on where it stopped when it is started again, one with
other settings makes what it lacks, and nothing stale is ever taken for an answer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

import jaxattr
from jaxattr._checks import check_single_key
from jaxattr.evaluation.runs.files import atomic_write, file_name, make_folder
from jaxattr.evaluation.runs.progress import Progress
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
        try:
            # Opened here: numpy leaves a damaged file open.
            with open(self._path(name, made_from), "rb") as file:
                archive = np.load(file, allow_pickle=False)
                return {key: archive[key] for key in archive.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

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
        made = {"jaxattr": jaxattr.__version__, **made_from}
        text = json.dumps(made, sort_keys=True)
        mark = hashlib.sha256(text.encode()).hexdigest()[:20]
        return self._folder / f"{name}-{mark}.npz"


def as_arrays(part: Mapping[str, ArrayLike | Array]) -> dict[str, np.ndarray]:
    """A part as it is kept."""
    return {key: np.asarray(value) for key, value in part.items()}


def write_arrays(
    file: BinaryIO, arrays: Mapping[str, ArrayLike], *, compress: bool = False
) -> None:
    """An ``.npz`` of arrays by name, the same bytes for the same arrays."""
    save: Callable[..., None] = np.savez_compressed if compress else np.savez
    save(file, **arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Some images of a set; the last chunk of the set is filled up with its last."""

    first: int
    index: np.ndarray
    """``(size,)``: which images."""
    count: int
    """How many of them are there for the first time."""
    num_images: int
    """Of the set."""
    keys: Array
    """``(size,)``, one an image: those that the set as one batch would have."""

    def make(
        self,
        parts: Parts | None,
        what: str,
        made_from: MadeFrom,
        compute: Computation,
        *,
        progress: Progress | None = None,
        items: int = 1,
    ) -> dict[str, np.ndarray]:
        """One part of a job for these images; see ``Parts.make``.

        Args:
          parts: where it is kept; None for nowhere.
          what: a few words for readers.
          made_from: all that decides the result but for place and size of the chunk.
          compute: to arrays by name.
          progress: where it is reported; None for nowhere.
          items: how many items of it this part is.
        """
        label = f"{what} {self.first + self.count}/{self.num_images}"
        if progress:
            progress.doing(label)
        made_from = {**made_from, "first": self.first, "size": len(self.index)}
        name = f"{file_name(what)}-{self.first:05d}"
        found = parts.find(name, made_from) if parts else None
        if found is not None:
            done = found
        elif parts:
            done = parts.make(name, made_from, compute)
        else:
            done = as_arrays(compute())
        if progress:
            progress.finished(label, items, found=found is not None)
        return done


def chunks(num_images: int, size: int, key: Array) -> Iterator[Chunk]:
    """A set of images, ``size`` at a time, so that each program compiles once.

    >>> [(c.index.tolist(), c.count) for c in chunks(3, 2, jax.random.key(0))]
    [([0, 1], 2), ([2, 2], 1)]
    """
    # Other generators would give an image another key in another chunk.
    key = check_single_key(key)
    for first in range(0, num_images, size):
        index = np.arange(first, first + size).clip(max=num_images - 1)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(index))
        count = min(size, num_images - first)
        yield Chunk(first, index, count, num_images, keys)


def gather(
    made: Sequence[Mapping[str, np.ndarray]],
    field: str,
    num_images: int,
    axis: int = 0,
) -> np.ndarray:
    """One field of all chunks put together, without what filled up the last."""
    whole = np.concatenate([part[field] for part in made], axis)
    return np.take(whole, np.arange(num_images), axis)
