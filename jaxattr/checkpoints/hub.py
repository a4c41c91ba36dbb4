"""Checkpoints from the Hugging Face hub, in the cache that its own library keeps."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import re
import warnings
from collections.abc import Iterator
from types import ModuleType

from jaxattr.checkpoints.download import ChecksumError, download
from jaxattr.checkpoints.locations import Hub

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
    expected = ""
    try:
        with _quiet():
            url = hub.hf_hub_url(location.repository, location.file, revision=revision)
            facts = hub.get_hf_file_metadata(url)
            expected = facts.etag or ""
            # The hub names large files by the SHA-256 of their content.
            large = SHA256.fullmatch(expected) and facts.size
            if large and not cached(location, facts.commit_hash):
                _download(location, url, size=facts.size, digest=expected)
            # Finds that content where it keeps it, and names it in the revision.
            path = hub.hf_hub_download(
                location.repository, location.file, revision=revision
            )
        return pathlib.Path(path)
    except ChecksumError as error:
        raise ValueError(
            f"weights: {place}: the download has SHA-256 {error!s:.12}..., the hub says"
            f" {expected:.12}...; it was removed, try again"
        ) from error
    # Refused connections, missing repositories, full disks: each has its own class, and
    # they change with the library's version.
    except Exception as error:
        there = cached(location, revision)
        if there is not None:
            return there
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"weights: {name} cannot be downloaded from the hub ({place}): {reason:.200};"
            " try again, or fetch the file elsewhere and pass its path:"
            f" load({name!r}, {location.file!r}), on the command line"
            f" --weights {location.file}"
        ) from error


def _download(location: Hub, url: str, *, size: int, digest: str) -> None:
    """The content into the library's cache, where it looks for it."""
    from huggingface_hub import constants, utils

    root = pathlib.Path(constants.HF_HUB_CACHE)
    folder = f"models--{location.repository.replace('/', '--')}"
    locks, target = root / ".locks" / folder, root / folder / "blobs" / digest
    locks.mkdir(parents=True, exist_ok=True)
    with utils.WeakFileLock(locks / f"{digest}.lock"):
        if not target.exists():
            download(url, target, size=size, digest=digest)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the library's own messages: one error of ours says what happened."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _library(name: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise ValueError(
            f"weights: {name} comes from the Hugging Face hub; pip install"
            ' "jaxattr[hub]", or pass the path of a checkpoint, or weights="random" and'
            " a key"
        ) from None
    return huggingface_hub
