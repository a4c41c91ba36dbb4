"""What photographs a job has, in which order, and what was in their files.

``manifest/0000.json`` in a folder of results is written once, by the first process; who
comes later looks at it, and at size and time of each file, and opens no photograph.
Photographs that are added are another file, ``0001.json`` and so on: nobody writes a file
that is there, and a photograph keeps its place.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jaxattr._checks import fail
from jaxattr.evaluation.runs.digests import bytes_digest
from jaxattr.evaluation.runs.files import create
from jaxattr.photographs.reading import read_bytes, read_photograph

MAX_READERS = 32


class Entry(NamedTuple):
    """One photograph."""

    file: str
    """From the folder of photographs on, with ``/``."""
    label: str
    """As written."""
    size: int
    """In bytes."""
    mtime: int
    """In nanoseconds."""
    digest: str
    """Of the file; the empty text where it could not be read."""
    error: str
    """Why it could not be read; the empty text where it could."""


Manifest = dict[str, Entry]
"""Photograph to what is known of it, in the order of their places. Those that could not
be read have none."""


def load(folder: pathlib.Path | None) -> tuple[Manifest, int]:
    """The manifest of a folder of results, and how many files it is.

    Raises:
      ValueError: one of them cannot be read.
    """
    found: Manifest = {}
    for number in range(10000):
        path = None if folder is None else _path(folder, number)
        if path is None or not path.exists():
            break
        try:
            columns = json.loads(path.read_text(encoding="utf-8"))
            rows = zip(*(columns[name] for name in Entry._fields), strict=True)
            entries = [Entry(*row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: cannot be read ({error})") from None
        found = merged(found, entries)
    else:
        raise fail("manifest", "at most 10000 files", number)
    return found, number


def merged(known: Manifest, entries: Iterable[Entry]) -> Manifest:
    """A manifest with entries that were added to it."""
    found = dict(known)
    for entry in entries:
        # One that was mended comes after those that were good before.
        if entry.file in found and not found[entry.file].digest:
            del found[entry.file]
        found.setdefault(entry.file, entry)
    return found


def examine(
    known: Manifest, root: pathlib.Path, labels: Mapping[str, str]
) -> list[Entry]:
    """What is not in a manifest yet: photographs that are new or were mended.

    Args:
      known: the manifest.
      root: the folder of photographs.
      labels: photograph to class, of those that are asked for.

    Raises:
      ValueError: a photograph whose file or class is another than in the manifest.
    """
    new = []
    for file, label in labels.items():
        entry, path = known.get(file), root / file
        if entry is None:
            new.append((path, file, label))
            continue
        status = _status(path)
        same = status == (entry.size, entry.mtime)
        if not entry.digest:
            if not same or entry.label != label:
                new.append((path, file, label))
            continue
        if entry.label != label:
            there, now = json.dumps(entry.label), json.dumps(label)
            raise ValueError(
                f"{path}: has results of other settings, its class: {there} there, "
                f"{now} now; choose another folder, or the class of then"
            )
        # One that is gone by now is for whoever needs it.
        if not same and path.is_file():
            check_unchanged(path, entry, read_bytes(path))
    if not new:
        return []
    workers = min(MAX_READERS, (os.cpu_count() or 1) + 4, len(new))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # Some at a time: a task that waits takes more memory than what it becomes.
        return [
            entry
            for first in range(0, len(new), 1024)
            for entry in pool.map(_entry, *zip(*new[first : first + 1024]))
        ]


def check_unchanged(path: pathlib.Path, entry: Entry, data: bytes) -> None:
    """Raises ``ValueError`` if a file does not hold what it held."""
    if bytes_digest(data) != entry.digest:
        raise ValueError(
            f"{path}: has changed since this run began; put back what it was, or "
            "choose another folder of results"
        )


def extend(folder: pathlib.Path, number: int, entries: Sequence[Entry]) -> bool:
    """Adds entries as the file of that number; False if somebody else was first.

    Raises:
      OSError: it cannot be written.
    """
    columns = dict(zip(Entry._fields, map(list, zip(*entries, strict=True))))
    path = _path(folder, number)
    path.parent.mkdir(exist_ok=True)
    return create(path, json.dumps(columns, ensure_ascii=False).encode())


def with_places(manifest: Manifest) -> dict[str, int]:
    """Photograph to place, of those that can be read."""
    good = (entry.file for entry in manifest.values() if entry.digest)
    return {file: place for place, file in enumerate(good)}


def _path(folder: pathlib.Path, number: int) -> pathlib.Path:
    return folder / "manifest" / f"{number:04d}.json"


def _status(path: pathlib.Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _entry(path: pathlib.Path, file: str, label: str) -> Entry:
    """What is in a file, and whether it can be decoded."""
    size, mtime = _status(path) or (0, 0)
    try:
        data = read_bytes(path)
        read_photograph(path, data)
    except ValueError as error:
        return Entry(file, label, size, mtime, "", str(error))
    return Entry(file, label, size, mtime, bytes_digest(data), "")
