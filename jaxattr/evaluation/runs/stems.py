"""What the results of each photograph are called after, the same in every call."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jaxattr.evaluation.runs.digests import file_digest
from jaxattr.evaluation.runs.files import atomic_write

_OF_FIGURES = (".curves", ".boundary")
"""What figures of a photograph have behind its stem, before their suffix."""


class Stems(NamedTuple):
    """What the files of one photograph are called after."""

    stem: str
    with_endings: tuple[str, ...]
    """One an ending: the stem, a dash and the ending, unless that is taken."""


class _Owner(NamedTuple):
    """The photograph that a stem belongs to."""

    stem: str
    path: str
    """Absolute."""
    digest: str
    """Of the file; the empty text where it cannot be read."""
    ending: str = ""


def unique_stems(
    paths: Iterable[str | os.PathLike[str]],
    record: str | os.PathLike[str] | None = None,
    *,
    endings: Sequence[str] = (),
) -> list[Stems]:
    """File names without suffix, the second of a name with ``-2``, and so on.

    Args:
      paths: photograph files.
      record: a file that keeps which photograph has which stem, so that none takes that
        of an earlier call, and each has its own again. A photograph that was moved
        (another file with its content, while its own is gone) keeps its stem.
      endings: of the stems that a photograph has beside its own; no photograph is
        called after one of these.

    Returns:
      The stems, in the order of the paths.

    Raises:
      OSError: the record cannot be written.

    >>> [stems.stem for stems in unique_stems(["a/cat.jpg", "b/cat.png", "dog.jpg"])]
    ['cat', 'cat-2', 'dog']
    >>> unique_stems(["a/cat.jpg", "cat-9.jpg"], endings=["9"])[0]
    Stems(stem='cat', with_endings=('cat-9-2',))
    """
    before = {} if record is None else _read(pathlib.Path(record))
    owners = dict(before)
    taken: set[str] = set()

    def claim(owner: _Owner) -> str:
        owner = _choose(owner, owners, taken)
        taken.add(_key(owner.stem))
        if owner.digest:
            owners[_key(owner.stem)] = owner
        return owner.stem

    files = [_as_owner(pathlib.Path(path)) for path in paths]
    stems = [claim(file) for file in files]
    found = []
    for file, stem in zip(files, stems, strict=True):
        asked = [file._replace(stem=f"{stem}-{e}", ending=e) for e in endings]
        found.append(Stems(stem, tuple(map(claim, asked))))
    if record is not None and owners != before:
        text = json.dumps([owner._asdict() for owner in owners.values()], indent=1)
        with atomic_write(record) as stream:
            stream.write(text.encode())
    return found


def _key(stem: str) -> str:
    """Equal for stems that some file system takes for one: cases, composed letters."""
    return unicodedata.normalize("NFC", stem).casefold()


def _as_owner(path: pathlib.Path) -> _Owner:
    """A photograph with the stem that it is to have."""
    place, digest = os.path.abspath(path), ""
    # Reading it says why it cannot be read; for what is not there no stem is kept.
    with contextlib.suppress(OSError, ValueError):
        place, digest = str(path.resolve()), file_digest(path)
    return _Owner(path.stem, place, digest)


def _choose(asked: _Owner, owners: Mapping[str, _Owner], taken: set[str]) -> _Owner:
    """With the stem that the photograph had, or the first that is free."""
    for key, owner in owners.items():
        is_it = (owner.path, owner.ending) == (asked.path, asked.ending)
        if is_it and key not in taken:
            return owner._replace(digest=asked.digest)
    for number in itertools.count(1):
        stem = asked.stem if number == 1 else f"{asked.stem}-{number}"
        key = _key(stem)
        had = owners.get(key)
        is_same = had and (had.digest, had.ending) == (asked.digest, asked.ending)
        moved = had and is_same and not os.path.exists(had.path)
        is_free = key not in taken and (had is None or moved)
        if is_free and not key.endswith(_OF_FIGURES):
            break
    return asked._replace(stem=stem)


def _read(record: pathlib.Path) -> dict[str, _Owner]:
    """Key of a stem to owner; empty for a record that is missing or damaged."""
    try:
        rows = json.loads(record.read_bytes())
        owners = [
            _Owner(**{name: str(row[name]) for name in _Owner._fields if name in row})
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {_key(owner.stem): owner for owner in owners}
