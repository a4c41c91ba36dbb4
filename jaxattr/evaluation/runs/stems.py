"""What the results of each photograph are called after, the same in every call."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jaxattr.evaluation.runs.digests import file_digest
from jaxattr.evaluation.runs.files import atomic_write


class _Owner(NamedTuple):
    """The photograph that a stem belongs to."""

    stem: str
    path: str
    """Absolute."""
    digest: str
    """Of the file; the empty text where it cannot be read."""


def unique_stems(
    paths: Iterable[str | os.PathLike[str]],
    record: str | os.PathLike[str] | None = None,
) -> list[str]:
    """File names without suffix, the second of a name with ``-2``, and so on.

    Args:
      paths: photograph files.
      record: a file that keeps which photograph has which stem, so that none takes that
        of an earlier call, and each has its own again. A photograph that was moved
        (another file with its content, while its own is gone) keeps its stem.

    Returns:
      The stems, in the order of the paths.

    Raises:
      OSError: the record cannot be written.

    >>> unique_stems(["a/cat.jpg", "b/cat.png", "dog.jpg"])
    ['cat', 'cat-2', 'dog']
    """
    before = {} if record is None else _read(pathlib.Path(record))
    owners = dict(before)
    taken: set[str] = set()
    stems: list[str] = []
    for path in map(pathlib.Path, paths):
        owner = _choose(path, owners, taken)
        stems.append(owner.stem)
        # Some file systems do not tell upper from lower case.
        taken.add(owner.stem.lower())
        if owner.digest:
            owners[owner.stem.lower()] = owner
    if record is not None and owners != before:
        text = json.dumps([owner._asdict() for owner in owners.values()], indent=1)
        with atomic_write(record) as file:
            file.write(text.encode())
    return stems


def _choose(
    path: pathlib.Path, owners: Mapping[str, _Owner], taken: set[str]
) -> _Owner:
    """The stem that the photograph had, or the first that is free."""
    place, digest = os.path.abspath(path), ""
    # Reading it says why it cannot be read; for what is not there no stem is kept.
    with contextlib.suppress(OSError, ValueError):
        place, digest = str(path.resolve()), file_digest(path)
    for key, owner in owners.items():
        if owner.path == place and key not in taken:
            return owner._replace(digest=digest)
    for number in itertools.count(1):
        stem = path.stem if number == 1 else f"{path.stem}-{number}"
        had = owners.get(stem.lower())
        moved = had and had.digest == digest and not os.path.exists(had.path)
        if stem.lower() not in taken and (had is None or moved):
            break
    return _Owner(stem, place, digest)


def _read(record: pathlib.Path) -> dict[str, _Owner]:
    """Stem in lower case to owner; empty for a record that is missing or damaged."""
    try:
        rows = json.loads(record.read_bytes())
        owners = [
            _Owner(**{name: str(row[name]) for name in _Owner._fields}) for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {owner.stem.lower(): owner for owner in owners}
