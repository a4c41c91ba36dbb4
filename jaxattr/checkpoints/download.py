"""A large file over HTTP that goes on where it stopped, and ends as what it should be."""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import shutil
import time

TRIES = 5
"""In one call; the next call goes on from there."""
TIMEOUT = 30.0
"""Seconds without a byte."""


class ChecksumError(ValueError):
    """The content is not what was announced; it has been removed."""


def download(url: str, target: pathlib.Path, *, size: int, digest: str) -> None:
    """Brings a file into place, whole and verified, or not at all.

    What has arrived lies in ``target`` with ``.partial`` behind its name. When a
    connection breaks it stays, and the next try asks for the rest, in this process or in
    another.

    Args:
      url: of the hub that ``huggingface_hub`` is set up for.
      target: where it is moved when it is complete.
      size: in bytes.
      digest: SHA-256 of the content.

    Raises:
      ChecksumError: for other content.
      EOFError: for a connection that keeps breaking.
      OSError: for a full disk, of which nothing is kept, or what the hub refuses.
    """
    partial = target.with_name(f"{target.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(TRIES)):
        try:
            _append(url, partial, size)
            break
        except OSError as error:
            if error.errno == errno.ENOSPC:
                partial.unlink(missing_ok=True)
            raise
        # Connections break in many classes, which change with the library's version.
        except Exception as error:
            if not left:
                arrived = f"{_size(partial)} of {size} bytes have arrived and are kept"
                raise EOFError(
                    f"{error or type(error).__name__} ({arrived})"
                ) from error
            time.sleep(1)
    with partial.open("rb") as stream:
        got = hashlib.file_digest(stream, "sha256").hexdigest()
    if got != digest:
        partial.unlink()
        raise ChecksumError(got)
    os.replace(partial, target)


def _append(url: str, partial: pathlib.Path, size: int) -> None:
    """Asks for what is missing and writes it behind what is there."""
    from huggingface_hub import get_session, utils

    there = _size(partial)
    if there == size:
        return
    free = shutil.disk_usage(partial.parent).free
    if free < size - there:
        needed = f"{(size - there) / 1e6:.1f} MB to come, {free / 1e6:.1f} MB free"
        raise OSError(errno.ENOSPC, f"No space left on device, {needed}")
    headers = {
        **utils.build_hf_headers(),
        "Accept-Encoding": "identity",
        # No other request may use a connection that may just have broken.
        "Connection": "close",
    }
    if 0 < there < size:
        headers["Range"] = f"bytes={there}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
        utils.hf_raise_for_status(response)
        resumed = response.status_code == 206
        with (
            partial.open("ab" if resumed else "wb") as file,
            utils.tqdm(
                total=size,
                initial=there if resumed else 0,
                desc=url.rpartition("/")[2],
                unit="B",
                unit_scale=True,
                disable=None,  # where stderr is no terminal
            ) as progress,
        ):
            for part in response.iter_bytes():
                file.write(part)
                progress.update(len(part))
    if _size(partial) < size:
        raise EOFError("the connection was closed early")


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0
