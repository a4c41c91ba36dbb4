"""Checkpoints from the Hugging Face hub, in the cache that its own library keeps."""

from __future__ import annotations

import hashlib
import pathlib
import re
from typing import Any

from jaxattr.models.model import Hub

SHA256 = re.compile("[0-9a-f]{64}")


def cached(location: Hub, revision: str | None = None) -> pathlib.Path | None:
    """The file, if it has been downloaded; None without ``huggingface_hub`` too."""
    try:
        import huggingface_hub
    except ImportError:
        return None
    path = huggingface_hub.try_to_load_from_cache(
        location.repository, location.file, revision=revision
    )
    return pathlib.Path(path) if isinstance(path, str) else None


def fetch(location: Hub, name: str, *, revision: str | None = None) -> pathlib.Path:
    """The file of a model, downloaded unless it is there, its checksum verified.

    The hub is asked whether there is a newer one; without an answer what is there will
    do. A download that breaks off is taken up again by the next one. The address is that
    of the environment variable ``HF_ENDPOINT``, the folder that of ``HF_HOME``.

    Args:
      location: repository and file.
      name: of the model, for messages.
      revision: a branch, tag or commit of the repository; None takes the newest.

    Raises:
      ValueError: without the library, network, repository, revision or space, or for a
        file that is not what the hub says it is, which is removed.
    """
    hub = _library(name)
    place = f"{location.repository}, {location.file}"
    try:
        url = hub.hf_hub_url(location.repository, location.file, revision=revision)
        expected = hub.get_hf_file_metadata(url).etag
        path = hub.hf_hub_download(
            location.repository, location.file, revision=revision
        )
    # Refused connections, missing repositories, full disks: each has its own class, and
    # they change with the library's version.
    except Exception as error:
        path = cached(location, revision)
        if path is not None:
            return path
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"weights: {name} cannot be downloaded from the hub ({place}): {reason:.200};"
            f" fetch the file elsewhere and pass its path, load({name!r},"
            f" {location.file!r})"
        ) from error
    return _verified(pathlib.Path(path), expected, place)


def _verified(path: pathlib.Path, expected: str | None, place: str) -> pathlib.Path:
    """The hub names large files by the SHA-256 of their content."""
    if expected is None or not SHA256.fullmatch(expected):
        return path
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != expected:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise ValueError(
            f"weights: {place}: the download has SHA-256 {digest:.12}..., the hub says"
            f" {expected:.12}...; it was removed, try again"
        )
    return path


def _library(name: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ValueError(
            f"weights: {name} comes from the Hugging Face hub; pip install"
            ' "jaxattr[hub]", or pass the path of a checkpoint, or weights="random" and'
            " a key"
        ) from None
    return huggingface_hub
