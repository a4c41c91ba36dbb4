"""Files that are either whole or not there, in a folder that many hosts write to."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import pathlib
import re
import secrets
import socket
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from jaxattr._locations import as_path, is_url, store_errors, write_object

STALE_SECONDS = 24 * 3600
"""A partial file of somebody else that is older is taken for one that nobody ends."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when it was written to the end.

    It is written beside its place under a name that nobody else has and that ends in
    ``.partial``, flushed to the disk and renamed. If the body raises, nothing is left,
    and a file that had the name before is still there as it was.

    Raises:
      OSError: no space, no right to write and the like; ``filename`` is ``path``.
    """
    path = as_path(path)
    if is_url(path):
        # No partial file: an object is not there before it is whole.
        buffer = io.BytesIO()
        yield buffer
        write_object(path, buffer.getvalue())
        return
    with _partial(path) as (partial, file):
        yield file
        _to_disk(file)
        os.replace(partial, path)


def create(path: str | os.PathLike[str], data: bytes) -> bool:
    """Writes a file, whole, unless there is one of that name: the first to come wins.

    Returns:
      Whether it was written; False where there was one, whoever wrote it.

    Raises:
      OSError: no space, no right to write and the like; ``filename`` is ``path``.
    """
    path = as_path(path)
    with store_errors(path):
        if path.exists():
            return False
    if is_url(path):
        return write_object(path, data, only_new=True)
    with _partial(path) as (partial, file):
        file.write(data)
        _to_disk(file)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:
            # A file system without links: the name is still taken by one only.
            try:
                with open(path, "xb") as taken:
                    taken.write(data)
                    _to_disk(taken)
            except FileExistsError:
                return False
    return True


def make_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a folder and sees that files can be written there, before work starts.

    Partial files of ``atomic_write`` that are older than a day are removed; younger ones
    may be written by another process, on whatever host, and are left alone.

    Raises:
      OSError: it cannot be made, or not be written to.
    """
    path = as_path(path, shared=True)
    if is_url(path):
        # A store has no folders; that it may be written to is seen by writing.
        probe = path / f".{socket.gethostname()}.{secrets.token_hex(8)}.partial"
        write_object(probe, b"")
        with store_errors(path):
            probe.unlink()
        return path
    path.mkdir(parents=True, exist_ok=True)
    # The clock of the file system: that of this host may differ.
    with _partial(path / "writable") as (probe, _):
        now = probe.stat().st_mtime
    for partial in path.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if now - partial.stat().st_mtime > STALE_SECONDS:
                partial.unlink(missing_ok=True)
    return path


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


@contextlib.contextmanager
def _partial(path: pathlib.Path) -> Iterator[tuple[pathlib.Path, BinaryIO]]:
    """A new file beside ``path`` of a name of its own, gone in the end."""
    host = file_name(socket.gethostname())[:40]
    name = f".{host}.{os.getpid()}.{secrets.token_hex(8)}.partial"
    partial = path.with_name(name)
    try:
        with open(partial, "xb") as file:
            yield partial, file
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        # Its own, whatever became of it.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
