"""Results of images, a row an image, in files of many rows that many processes add to.

What decides a row is the ``mark`` of its table (model, weights, method and options, ...),
the image and the column; whatever else the call asked for that made it has no part in
it. So a call finds every row that any call before it made, in files of whatever ranges,
and adds files with what was missing.

A file is an ``.npz`` with ``place (n,)``, ``image (n,)``, which tells the image in that
place from others, and fields ``COLUMN.FIELD (n, ...)``. Its name says the table and the
range of its places: ``NAME-MARK-FIRST-LAST-CONTENT.npz``.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxattr.evaluation.runs.files import atomic_write, file_name
from jaxattr.evaluation.runs.parts import (
    MadeFrom,
    mark_of,
    read_arrays,
    write_arrays,
)

_NAME = re.compile(r"-([0-9a-f]{20})-(\d{8,})-(\d{8,})-[0-9a-f]{8}\.npz$")
_OF_IMAGES = {"place", "image"}


class Found(NamedTuple):
    """What is known of some images."""

    there: dict[str, np.ndarray]
    """Column to ``(n,)`` bool: which of the images have it."""
    values: dict[str, np.ndarray]
    """``COLUMN.FIELD`` to ``(n, ...)``; zeros where the column is not there."""

    def missing(self, column: str, num_images: int) -> np.ndarray:
        """``(n,)`` bool: which of the images lack a column."""
        return ~self.there.get(column, np.zeros(num_images, bool))


class _File(NamedTuple):
    first: int
    last: int
    path: pathlib.Path | None
    part: dict[str, np.ndarray] | None = None
    """What is in it, where there is no file."""


class RowFiles:
    """A folder of tables, listed once.

    Args:
      folder: which is there; None for tables in memory.
    """

    def __init__(self, folder: pathlib.Path | None) -> None:
        self.folder = folder
        self._by_mark: dict[str, list[_File]] = {}
        for path in sorted(folder.glob("*.npz")) if folder else ():
            match = _NAME.search(path.name)
            if match:
                file = _File(int(match[2]), int(match[3]), path)
                self._by_mark.setdefault(match[1], []).append(file)

    def table(self, name: str, made_from: MadeFrom) -> Rows:
        """The rows of one kind.

        Args:
          name: for readers of the folder.
          made_from: all that decides them but for the images, as JSON takes it.
        """
        return self.marked(name, mark_of(made_from))

    def marked(self, name: str, mark: str) -> Rows:
        """The same by the mark of what decides them."""
        files = self._by_mark.setdefault(mark, [])
        return Rows(self.folder, f"{file_name(name)[:80]}-{mark}", mark, files)


class Rows:
    """The rows of one table; see ``RowFiles``."""

    def __init__(
        self, folder: pathlib.Path | None, stem: str, mark: str, files: list[_File]
    ) -> None:
        self.mark = mark
        self._folder = folder
        self._stem = stem
        self._files = files
        self._last: tuple[pathlib.Path, dict[str, np.ndarray] | None] | None = None

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._files)

    def there(self, places: np.ndarray, images: np.ndarray) -> Found:
        """Which columns are known of some images, without their values.

        Of a file only what tells its images apart is read.

        Args:
          places: ``(n,)`` in growing order.
          images: ``(n,)``, what tells each from others in its place.
        """
        return self._find(places, images, with_values=False)

    def find(self, places: np.ndarray, images: np.ndarray | None = None) -> Found:
        """What is known of some images.

        Args:
          places: ``(n,)`` in growing order.
          images: ``(n,)``, what tells each from others in its place; None where there
            are no others.
        """
        return self._find(places, images, with_values=True)

    def _find(
        self, places: np.ndarray, images: np.ndarray | None, *, with_values: bool
    ) -> Found:
        there: dict[str, np.ndarray] = {}
        values: dict[str, np.ndarray] = {}
        if not len(places):
            return Found(there, values)
        for file in self._files:
            if file.last < places[0] or places[-1] < file.first:
                continue
            part = self._read(file) if with_values else _read_images(file)
            if part is None:
                continue
            to = np.searchsorted(places, part["place"]).clip(max=len(places) - 1)
            same = places[to] == part["place"]
            if images is not None:
                same &= images[to] == part["image"]
            for field in part.keys() - _OF_IMAGES:
                column = field.partition(".")[0]
                known = there.setdefault(column, np.zeros(len(places), bool))
                known[to[same]] = True
                if with_values:
                    rows = part[field]
                    empty = np.zeros((len(places), *rows.shape[1:]), rows.dtype)
                    values.setdefault(field, empty)[to[same]] = rows[same]
        return Found(there, values)

    def add(
        self, places: np.ndarray, images: np.ndarray, values: Mapping[str, np.ndarray]
    ) -> None:
        """Keeps rows.

        Args:
          places: ``(n,)`` in growing order.
          images: ``(n,)`` bytes, what tells each from others in its place.
          values: ``COLUMN.FIELD`` to ``(n, ...)``.

        Raises:
          OSError: they cannot be written.
        """
        if not len(places):
            return
        first, last = int(places[0]), int(places[-1])
        if self._folder is None:
            part = {"place": places, "image": images, **values}
            self._files.append(_File(first, last, None, part))
            return
        kept = {f: _as_kept(f, rows) for f, rows in values.items()}
        what = repr((places.tolist(), images.tolist(), sorted(values)))
        content = hashlib.sha256(what.encode()).hexdigest()[:8]
        path = self._folder / f"{self._stem}-{first:08d}-{last:08d}-{content}.npz"
        with atomic_write(path) as file:
            write_arrays(file, {"place": places, "image": images, **kept})
        self._last = None
        if not any(known.path == path for known in self._files):
            self._files.append(_File(first, last, path))

    def _read(self, file: _File) -> dict[str, np.ndarray] | None:
        """A file; the last one is kept, for who asks for some of its rows at a time."""
        if file.path is None:
            return file.part
        if self._last is None or self._last[0] != file.path:
            self._last = file.path, read_arrays(file.path)
        return self._last[1]


def _read_images(file: _File) -> dict[str, np.ndarray] | None:
    """Of a file what tells its images apart, and no rows of its fields."""
    return file.part if file.path is None else read_arrays(file.path, _OF_IMAGES)


def _as_kept(field: str, rows: np.ndarray) -> np.ndarray:
    """Curves of probabilities in half precision: two thirds of all there is to keep."""
    return rows.astype(np.float16) if field.endswith(".curve") else rows
