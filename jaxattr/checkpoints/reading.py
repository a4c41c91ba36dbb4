"""Weights from a file, as NumPy arrays by name, without torch and executing nothing."""

from __future__ import annotations

import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping

import numpy as np

from jaxattr.checkpoints.errors import CheckpointError
from jaxattr.checkpoints.safetensors_file import read_safetensors
from jaxattr.checkpoints.torch_file import read_torch

MAX_INFLATION = 1 << 30
"""The most bytes that a compressed ``.npz`` may grow to, unless 100 times its size is
more."""


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint by name, a leading ``module.`` dropped.

    Args:
      path: a ``.pth`` or ``.pt`` (``torch.save``'s zip layout and the one before it), a
        ``.safetensors`` or an ``.npz``.

    Returns:
      Arrays in the dtypes of the file, bfloat16 included.

    Raises:
      ValueError: that names the file and what is wrong with it: missing, a directory,
        truncated, corrupt, of an unknown kind, or a pickle that refers to anything but
        tensors.
    """
    path = pathlib.Path(path)
    if "\0" in str(path):
        raise ValueError(f"weights: {str(path)!r:.80}: no path has a NUL character")
    reader = _READERS.get(path.suffix.lower())
    try:
        if path.is_dir():
            raise CheckpointError("it is a directory")
        if reader is None:
            known = " ".join(sorted(_READERS))
            raise CheckpointError(f"unknown suffix {path.suffix!r}; known: {known}")
        tensors = reader(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"weights: {path}: no such file") from None
    except OSError as error:
        raise ValueError(f"weights: {path}: {error.strerror or error}") from None
    except CheckpointError as error:
        raise ValueError(f"weights: {path}: {error}") from error
    if not tensors:
        raise ValueError(f"weights: {path}: holds no tensors")
    return _without_prefix(tensors, "module.")


def _read_npz(data: bytes) -> dict[str, np.ndarray]:
    import io

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inflated = sum(entry.file_size for entry in archive.infolist())
        if inflated > max(MAX_INFLATION, 100 * len(data)):
            raise CheckpointError(f"it would inflate to {inflated} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            tensors = {name: archive[name] for name in archive.files}
    except CheckpointError:
        raise
    # A hostile or cut file fails in zipfile, zlib, numpy or ast, each in its own way.
    except Exception as error:
        raise CheckpointError(f"not a readable .npz file ({error})") from error
    foreign = [n for n, t in tensors.items() if not isinstance(t, np.ndarray)]
    if foreign:
        raise CheckpointError(f"{foreign[0]!r} is not an array")
    return tensors


_READERS: Mapping[str, Callable[[bytes], dict[str, np.ndarray]]] = {
    ".pth": read_torch,
    ".pt": read_torch,
    ".safetensors": read_safetensors,
    ".npz": _read_npz,
}


def _without_prefix(tensors: dict[str, np.ndarray], prefix: str) -> dict:
    if not all(name.startswith(prefix) for name in tensors):
        return tensors
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
