"""NumPy's archive of arrays, a zip file of ``.npy`` files."""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np

from jaxattr.checkpoints.errors import CheckpointError, check_shape, native

MAX_INFLATION = 1 << 30
"""The most bytes that a compressed ``.npz`` may grow to, unless 100 times its size is
more."""


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file's content by name, bfloat16 included.

    Raises:
      CheckpointError: for truncated, corrupt or foreign content, for objects, and for
        what would inflate beyond measure.
    """
    # As NumPy tells an archive; zipfile would find one behind other content, too.
    if not data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise CheckpointError("not a readable .npz file (it does not begin as one)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            inflated = sum(entry.file_size for entry in entries)
            if inflated > max(MAX_INFLATION, 100 * len(data)):
                raise CheckpointError(f"it would inflate to {inflated} bytes")
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            if len(set(names)) != len(names):
                raise CheckpointError("a name is given twice")
            return {
                name: native(name, _read_npy(name, archive.read(entry)))
                for name, entry in zip(names, entries, strict=True)
            }
    except CheckpointError:
        raise
    # A hostile or cut file fails in zipfile, zlib, numpy or ast, each in its own way.
    except Exception as error:
        raise CheckpointError(f"not a readable .npz file ({error})") from error


def _read_npy(name: str, data: bytes) -> np.ndarray:
    """One array; NumPy would allocate what the header says before it looks further."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise CheckpointError(f"{name!r} is not an array")
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise CheckpointError(f"{name}: .npy of version {version}")
    shape, _, dtype = readers[version](stream)
    shape = check_shape(name, shape)
    if not dtype.hasobject:
        expected = math.prod(shape) * dtype.itemsize
        there = len(data) - stream.tell()
        if there != expected:
            raise CheckpointError(
                f"{name}: {dtype}{list(shape)} takes {expected} bytes, not {there}"
            )
    return np.load(io.BytesIO(data), allow_pickle=False)
