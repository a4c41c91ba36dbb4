"""Where files are: on this machine, or in a store that ``fsspec`` reaches by a URL.

A path of a store (``s3://bucket/photographs``, ``gs://...``, ``memory://...``) behaves as
one of :mod:`pathlib`. Stores of objects have no rename; what is written there is one whole
object, which is there or not.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, cast

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")

# Clients of stores log at length what they raise as well. Who wants to read that gives
# the logger a handler.
_CLIENTS = ("adlfs", "fsspec", "gcsfs", "s3fs")
for _client in _CLIENTS:
    logging.getLogger(_client).addHandler(logging.NullHandler())
_BENEATH = ("aiobotocore", "aiohttp", "azure", "botocore", "google")
"""What clients are made of, and whose errors they hand on."""


def is_url(location: object) -> bool:
    """Whether a location is in a store, and not on this machine.

    >>> is_url("s3://bucket/cats"), is_url("cats"), is_url("C:/cats")
    (True, False, False)
    """
    return not isinstance(location, pathlib.Path) and bool(_URL.match(str(location)))


def as_path(location: str | os.PathLike[str], *, shared: bool = False) -> pathlib.Path:
    """A path to read and write by, on this machine or in a store.

    Args:
      location: a path or URL.
      shared: others write there too: what is listed is asked for anew each time.

    Raises:
      ImportError: a URL, and the extra is not installed; the message names it.
      ValueError: a store that is unknown, or whose own package is missing.
      OSError: a store that cannot be asked: it does not answer, or credentials are
        missing.
    """
    if not is_url(location):
        return pathlib.Path(location)
    if not isinstance(location, str):
        return cast(pathlib.Path, location)  # it is one already
    try:
        from upath import UPath
    except ImportError:
        raise ImportError(
            f"{location}: stores need universal_pathlib: pip install 'jaxattr[scale]'"
        ) from None
    options: dict[str, Any] = {"use_listings_cache": False} if shared else {}
    try:
        path = UPath(location, **options)
        path.fs  # noqa: B018  the package of the store is imported here
    except (ImportError, ValueError) as error:
        raise ValueError(f"{location}: {' '.join(str(error).split())}") from None
    with store_errors(path):
        _ask(path.fs, path.path.strip("/").partition("/")[0])
    return cast(pathlib.Path, path)


@functools.cache
def _ask(store: Any, bucket: str) -> None:
    """Asks for a bucket, once: what is raised here would be raised anywhere later.

    That ``exists`` and ``is_dir`` say no of a store that did not answer, some clients do.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        store.info(bucket)


def is_folder(path: pathlib.Path) -> bool:
    """Whether there is a folder of this name.

    Raises:
      OSError: a store that cannot be asked; ``is_dir`` takes that for no.
    """
    if not is_url(path):
        return path.is_dir()
    store: Any = path
    with store_errors(path):
        try:
            return bool(store.fs.info(store.path)["type"] == "directory")
        except FileNotFoundError:
            return False


def is_inside(path: pathlib.Path, folder: pathlib.Path) -> bool:
    """Whether a path lies in a folder, or is the folder."""
    if is_url(path) or is_url(folder):
        inner, outer = (str(p).rstrip("/") + "/" for p in (path, folder))
        return inner.startswith(outer)
    return path.resolve().is_relative_to(folder.resolve())


@contextlib.contextmanager
def store_errors(path: pathlib.Path) -> Iterator[None]:
    """Whatever a store raises becomes an ``OSError`` that names the path.

    Clients of stores have errors of their own for a bucket that is not there and for
    missing credentials.
    """
    try:
        yield
    except Exception as error:
        if not is_url(path):
            raise
        number = getattr(error, "errno", None) or 0
        raise OSError(number, _reason(error), str(path)) from error


def store_reason(error: Exception) -> str | None:
    """Why a store failed in the middle, by an error of its client; None of others."""
    package = type(error).__module__.partition(".")[0]
    return _reason(error) if package in (*_CLIENTS, *_BENEATH) else None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def write_object(path: pathlib.Path, data: bytes, *, only_new: bool = False) -> bool:
    """Writes one whole object.

    Args:
      path: of a store.
      data: what is in it.
      only_new: not where there is one of that name; the store decides who was first.

    Returns:
      Whether it was written.

    Raises:
      OSError: the store refuses.
    """
    store: Any = path
    with store_errors(path):
        try:
            mode = "create" if only_new else "overwrite"
            store.fs.pipe_file(store.path, data, mode=mode)
        except FileExistsError:
            return False
    return True
