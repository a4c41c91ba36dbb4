"""Long jobs in parts: each is kept as soon as it is made, and made only once.

A part is known by what it was made from (settings, digests of weights and images, and
the version of this library).
So a job that was killed goes on where it stopped when it is started again, one with
other settings makes what it lacks, and nothing stale is ever taken for an answer.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr
from jaxattr._checks import check_single_key
from jaxattr.evaluation.runs.files import atomic_write, file_name, make_folder
from jaxattr.evaluation.runs.progress import Progress

UNKNOWN = "cannot be read"
"""A setting that is not known yet: it differs from nothing, and is told later."""


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
        arrays = as_arrays(compute())
        with atomic_write(self._path(name, made_from)) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return arrays

    def _path(self, name: str, made_from: Mapping[str, Any]) -> pathlib.Path:
        made = {"jaxattr": jaxattr.__version__, **made_from}
        text = json.dumps(made, sort_keys=True)
        mark = hashlib.sha256(text.encode()).hexdigest()[:20]
        return self._folder / f"{name}-{mark}.npz"


def as_arrays(part: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A part as it is kept."""
    return {key: np.asarray(value) for key, value in part.items()}


class Chunk(NamedTuple):
    """Some images of a set; the last chunk of the set is filled up with its last."""

    first: int
    index: np.ndarray
    """``(size,)``: which images."""
    count: int
    """How many of them are there for the first time."""
    num_images: int
    """Of the set."""
    keys: jax.Array
    """``(size,)``, one an image: those that the set as one batch would have."""

    def make(
        self,
        parts: Parts | None,
        what: str,
        made_from: Mapping[str, Any],
        compute: Callable[[], Mapping[str, Any]],
        *,
        progress: Progress | None = None,
        items: int = 1,
    ) -> dict[str, np.ndarray]:
        """One part of a job for these images, told to ``progress``; see ``Parts.make``.

        Args:
          parts: where it is kept; None for nowhere.
          what: a few words for readers.
          made_from: all that decides the result but for place and size of the chunk.
          compute: to arrays by name.
          progress: whom to tell.
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


def chunks(num_images: int, size: int, key: jax.Array) -> Iterator[Chunk]:
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
    made: Sequence[Mapping[str, Any]], field: str, num_images: int, axis: int = 0
) -> np.ndarray:
    """One field of all chunks put together, without what filled up the last."""
    whole = np.concatenate([part[field] for part in made], axis)
    return np.take(whole, np.arange(num_images), axis)


def claim(folder: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Writes ``settings.json``, or sees that it holds these settings.

    What was ``UNKNOWN`` there and is known now is added.

    Args:
      folder: of results.
      settings: what decides them, as JSON takes it.

    Raises:
      ValueError: the folder has results of other settings; the message names the first
        that differs.
      OSError: it cannot be written.
    """
    path = folder / "settings.json"
    there, now = None, json.loads(json.dumps(dict(settings)))
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(there, dict):
            raise ValueError(f"expected an object, got {json.dumps(there)[:20]}")
    except FileNotFoundError:
        known = now
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    else:
        difference = _difference(there, now)
        if difference:
            raise ValueError(
                f"{folder}: has results of other settings, {difference}; choose "
                "another folder, or the settings of then"
            )
        known = _completed(there, now)
    if known != there:
        with atomic_write(path) as file:
            file.write(json.dumps(known, indent=1).encode())


def _completed(there: Any, now: Any) -> Any:
    """Settings that do not differ, with what either of them knows."""
    if isinstance(there, dict):
        return {key: _completed(value, now[key]) for key, value in there.items()}
    return now if there == UNKNOWN else there


def _difference(there: Any, now: Any, name: str = "") -> str:
    """The first setting that is not the same, and both values; else nothing."""
    if isinstance(there, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*there, *now]):
            inner = f"{name}.{key}" if name else key
            found = _difference(there.get(key), now.get(key), inner)
            if found:
                return found
        return ""
    if there == now or UNKNOWN in (there, now):
        return ""
    return f"{name}: {_short(there)} there, {_short(now)} now"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "asked for"
    text = "not asked for" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def digest(tree: Any) -> str:
    """A short text that changes with any number of a pytree of arrays.

    >>> digest([np.zeros(2), np.ones(2)]) == digest([np.zeros(2), np.ones(2)])
    True
    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2)))
    False
    """
    sha = hashlib.sha256()
    leaves, structure = jax.tree.flatten(tree)
    # Where in memory a function lies says nothing.
    sha.update(re.sub(r" at 0x[0-9a-f]+", "", str(structure)).encode())
    for leaf in leaves:
        array = np.asarray(leaf)
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:20]


def file_digest(path: str | os.PathLike[str]) -> str:
    """A short text that changes with any byte of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]


def identify(value: Any, depth: int = 8) -> Any:
    """What a setting is, as JSON takes it: the same in every process.

    Functions are their names and what they enclose, arrays their digests; the code of a
    function is not looked at.

    >>> identify({"alpha": 0.1, "score": functools.partial(max, 3)})
    {'alpha': 0.1, 'score': ['builtins.max', [3], {}]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    inner = functools.partial(identify, depth=depth - 1)
    if not depth:
        return type(value).__name__
    if isinstance(value, functools.partial):
        return [inner(value.func), inner(value.args), inner(value.keywords)]
    if inspect.isfunction(value):
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        name = f"{value.__module__}.{value.__qualname__}"
        return [name, inner(enclosed)] if enclosed else name
    if isinstance(value, Mapping):
        return {str(key): inner(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [inner(item) for item in value]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return digest(value)
    name = getattr(value, "__qualname__", None)
    if name:
        return f"{value.__module__}.{name}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
