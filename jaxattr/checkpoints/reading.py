"""Weights from a file, as NumPy arrays by name, without torch and executing nothing."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from jaxattr.checkpoints.errors import CheckpointError
from jaxattr.checkpoints.npz_file import read_npz
from jaxattr.checkpoints.safetensors_file import read_safetensors
from jaxattr.checkpoints.torch_file import read_torch


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


_READERS: Mapping[str, Callable[[bytes], dict[str, np.ndarray]]] = {
    ".pth": read_torch,
    ".pt": read_torch,
    ".safetensors": read_safetensors,
    ".npz": read_npz,
}


def _without_prefix(
    tensors: dict[str, np.ndarray], prefix: str
) -> dict[str, np.ndarray]:
    if not all(name.startswith(prefix) for name in tensors):
        return tensors
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
