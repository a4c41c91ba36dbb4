"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when it was written to the end.

    It is written beside its place under a name ending in ``.partial``, flushed to the
    disk and renamed. If the body raises, nothing is left, and a file that had the name
    before is still there as it was.

    Raises:
      OSError: no space, no right to write and the like; ``filename`` is ``path``.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def make_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a folder and sees that files can be written there, before work starts.

    What processes that were killed have left of ``atomic_write`` is removed.

    Raises:
      OSError: it cannot be made, or not be written to.
    """
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    with atomic_write(path / ".writable"):
        pass
    (path / ".writable").unlink()
    for partial in path.glob(".*.partial"):
        process = partial.name.split(".")[-2]
        if process.isdecimal() and _is_gone(int(process)):
            partial.unlink(missing_ok=True)
    return path


def _is_gone(process: int) -> bool:
    """No process has this number; asked where asking does no harm."""
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def file_names(texts: Iterable[str]) -> dict[str, str]:
    """``file_name`` of each text, the second of a name with ``-2``, and so on.

    >>> file_names(["a/best.npz", "a best.npz"])
    {'a/best.npz': 'a-best.npz', 'a best.npz': 'a-best.npz-2'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        wanted = name = file_name(text)
        for number in itertools.count(2):
            # Some file systems do not tell upper from lower case.
            if name.lower() not in taken:
                break
            name = f"{wanted}-{number}"
        taken.add(name.lower())
        names[text] = name
    return names


def file_name(text: str) -> str:
    """Letters, digits and a few signs; a dash for anything else.

    >>> file_name("resnet50 IG, smoothed")
    'resnet50-IG-smoothed'
    """
    return re.sub(r"[^\w.=+-]+", "-", text)
