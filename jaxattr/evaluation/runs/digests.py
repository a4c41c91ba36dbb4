"""What an array, a file or a setting is, as a short text or as JSON takes it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import os
import re
from collections.abc import Mapping

import jax
import numpy as np

from jaxattr.typing import Array


def digest(tree: object) -> str:
    """A short text that changes with any number of a pytree of arrays.

    >>> digest([np.zeros(2), np.ones(2)]) == digest([np.zeros(2), np.ones(2)])
    True
    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2)))
    False
    """
    sha = hashlib.sha256()
    leaves, structure = jax.tree.flatten(tree)
    # Where in memory a function lies says nothing.
    sha.update(re.sub(r" at 0x[0-9a-f]+", "", str(structure)).encode())
    for leaf in leaves:
        array = np.asarray(leaf)
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:20]


def file_digest(path: str | os.PathLike[str]) -> str:
    """A short text that changes with any byte of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]


def bytes_digest(data: bytes) -> str:
    """That of a file, by what is in it."""
    return hashlib.sha256(data).hexdigest()[:20]


def key_data(key: Array) -> list[int]:
    """A key as JSON takes it."""
    return np.asarray(jax.random.key_data(key)).tolist()


def identify(value: object, depth: int = 20) -> object:
    """What a setting is, as JSON takes it: the same in every process.

    Functions are their names and what they enclose, arrays their digests; the code of a
    function is not looked at.

    >>> identify({"alpha": 0.1, "score": functools.partial(max, 3)})
    {'alpha': 0.1, 'score': ['builtins.max', [3], {}]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    inner = functools.partial(identify, depth=depth - 1)
    if not depth:
        return type(value).__name__
    if isinstance(value, functools.partial):
        return [inner(value.func), inner(value.args), inner(value.keywords)]
    if inspect.isfunction(value):
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        name = f"{value.__module__}.{value.__qualname__}"
        return [name, inner(enclosed)] if enclosed else name
    if isinstance(value, Mapping):
        return {str(key): inner(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [inner(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: inner(getattr(value, f.name)) for f in fields}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return digest(value)
    qualified = getattr(value, "__qualname__", None)
    if qualified:
        return f"{value.__module__}.{qualified}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
