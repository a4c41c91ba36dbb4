"""Files of ``torch.save``: the zip layout and the sequence of pickles before it."""

from __future__ import annotations

import functools
import io
import math
import reprlib
import zipfile
from collections.abc import Callable, Iterator

import numpy as np

from jaxattr.checkpoints.errors import CheckpointError, check_shape, is_size
from jaxattr.checkpoints.unpickling import Storage, Tensor, load_pickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
NESTS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
    *("state_dict", "model", "model_state_dict", "net", "network"),
)
"""Keys under which training scripts keep the state dict, averages of weights first."""


def read_torch(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a file's content by name.

    Raises:
      CheckpointError: for truncated, corrupt or foreign content, and for tensors that
        reach beyond their storage.
    """
    state, storage_bytes = (_zip if data[:4] == b"PK\x03\x04" else _legacy)(data)
    tensors = _state_dict(state)
    read = functools.cache(lambda storage: _read_storage(storage, storage_bytes))
    return {name: _to_array(name, tensor, read) for name, tensor in tensors}


def _zip(data: bytes) -> tuple[object, Callable[[str], bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = {entry.filename: entry for entry in archive.infolist()}
    # A cut or hostile archive fails in many ways, NotImplementedError among them.
    except Exception as error:
        raise CheckpointError(f"truncated or not a zip file ({error})") from error

    def read(name: str) -> bytes:
        if name not in entries:
            raise CheckpointError(f"truncated or not of torch.save: it has no {name}")
        # torch stores; what is compressed could inflate to anything.
        if entries[name].compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(f"{name} is compressed; torch.save never does that")
        try:
            return archive.read(name)
        except Exception as error:
            raise CheckpointError(f"{name} is corrupt ({error})") from error

    roots = [n.removesuffix("data.pkl") for n in entries if n.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError("not of torch.save: it has no single data.pkl")
    (root,) = roots
    if f"{root}byteorder" in entries and read(f"{root}byteorder") != b"little":
        raise CheckpointError("written on a big-endian machine")
    state = load_pickle(io.BytesIO(read(f"{root}data.pkl")))
    return state, lambda key: read(f"{root}data/{key}")


def _legacy(data: bytes) -> tuple[object, Callable[[str], bytes]]:
    """Five pickles (magic, protocol, machine, object, keys), then the storages."""
    stream = io.BytesIO(data)
    if load_pickle(stream) != LEGACY_MAGIC:
        raise CheckpointError("not a file of torch.save")
    protocol, machine = load_pickle(stream), load_pickle(stream)
    if protocol != LEGACY_PROTOCOL:
        raise CheckpointError(f"unknown protocol {reprlib.repr(protocol):.80}")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise CheckpointError("written on a big-endian machine")
    storages: dict[str, Storage] = {}
    state = load_pickle(stream, storages)
    keys = load_pickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise CheckpointError("the list of storages is corrupt")
    raw = {}
    for key in keys:
        if key not in storages:
            raise CheckpointError(f"storage {key:.80} belongs to no tensor")
        length = stream.read(8)
        expected = storages[key].numel
        if len(length) == 8 and int.from_bytes(length, "little") != expected:
            raise CheckpointError(f"storage {key:.80} is not of {expected} numbers")
        raw[key] = stream.read(expected * storages[key].dtype.itemsize)

    def read(key: str) -> bytes:
        if key not in raw:
            raise CheckpointError(f"truncated: it has no storage {key:.80}")
        return raw[key]

    return state, read


def _state_dict(state: object) -> Iterator[tuple[str, Tensor]]:
    for nest in NESTS:
        inner = state.get(nest) if isinstance(state, dict) else None
        if isinstance(inner, dict) and _has_tensors(inner):
            state = inner
            break
    if not isinstance(state, dict):
        raise CheckpointError("it holds no state dict")
    for name, value in state.items():
        # Beside its tensors a checkpoint may keep epochs, options and the like.
        if isinstance(name, str) and isinstance(value, Tensor):
            yield name, value


def _has_tensors(state: dict[object, object]) -> bool:
    return any(isinstance(value, Tensor) for value in state.values())


def _read_storage(
    storage: Storage, storage_bytes: Callable[[str], bytes]
) -> np.ndarray:
    data, itemsize = storage_bytes(storage.key), storage.dtype.itemsize
    if len(data) != storage.numel * itemsize:
        raise CheckpointError(
            f"truncated: storage {storage.key:.80} has {len(data)} bytes of"
            f" {storage.numel * itemsize}"
        )
    return np.frombuffer(data, storage.dtype)


def _to_array(
    name: str, tensor: Tensor, read: Callable[[Storage], np.ndarray]
) -> np.ndarray:
    shape = check_shape(name, tensor.shape)
    strides = check_shape(f"{name}: strides", tensor.strides)
    if not is_size(tensor.offset) or len(strides) != len(shape):
        raise CheckpointError(f"{name}: bad offset or strides")
    numel, count = tensor.storage.numel, math.prod(shape)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    # More numbers than the storage has would be a stride of 0 that repeats them.
    if count > numel or (count and last >= numel):
        raise CheckpointError(
            f"{name}: {list(shape)} with strides {list(strides)} from {tensor.offset}"
            f" reaches beyond its storage of {numel}"
        )
    flat = read(tensor.storage)
    if not count:
        return np.zeros(shape, flat.dtype)
    itemsize = flat.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        flat[tensor.offset :], shape, tuple(s * itemsize for s in strides)
    )
    return view.copy()
