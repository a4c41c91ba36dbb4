"""Files in torch's layouts, written without torch, opcode by opcode."""

import io
import struct
import types
import zipfile
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


class Global(NamedTuple):
    module: str
    name: str


class Call(NamedTuple):
    function: Any
    arguments: tuple


class Persistent(NamedTuple):
    reference: tuple


def opcodes(value: Any) -> bytes:
    """The body of a protocol-2 pickle."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return opcodes(function) + opcodes(arguments) + b"R"
        case Persistent(reference):
            return opcodes(reference) + b"Q"
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            items = (opcodes(k) + opcodes(v) for k, v in value.items())
            return b"}(" + b"".join(items) + b"u"
    raise TypeError(value)


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


def tensor(
    key, dtype, numel, shape, strides=None, offset=0, *, legacy=False, storage=None
):
    """A call of ``_rebuild_tensor_v2`` on a storage."""
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    kind = Global("torch", storage or STORAGES[dtype])
    reference = ("storage", kind, key, "cpu", numel) + ((None,) if legacy else ())
    hooks = Call(Global("collections", "OrderedDict"), ())
    arguments = (Persistent(reference), offset, shape, strides, False, hooks)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def state_dict(arrays: dict[str, np.ndarray], *, legacy: bool) -> dict:
    return {
        name: tensor(str(i), a.dtype.name, a.size, a.shape, legacy=legacy)
        for i, (name, a) in enumerate(arrays.items())
    }


def raw_storages(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {str(i): a.tobytes() for i, a in enumerate(arrays.values())}


def legacy_file(value: Any, storages: dict[str, bytes], itemsizes=None) -> bytes:
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [0x1950A86A20F9469CFC6C, 1001, machine, value, list(storages)]
    data = b"".join(map(pickled, parts))
    for key, raw in storages.items():
        numel = len(raw) // (itemsizes or {}).get(key, 4)
        data += struct.pack("<q", numel) + raw
    return data


def zip_file(value: Any, storages: dict[str, bytes], compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        archive.writestr("archive/byteorder", b"little")
        for key, raw in storages.items():
            archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


@pytest.fixture(scope="session")
def craft():
    """The functions above, for the tests of the readers."""
    return types.SimpleNamespace(**{k: v for k, v in globals().items() if k[0] != "_"})


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    """One array of each dtype that a checkpoint may hold."""
    rng = np.random.default_rng(0)
    numbers = {
        f"layer.{np.dtype(d)}": rng.normal(size=(2, 3)).astype(d)
        for d in ("float16", "float32", "float64", ml_dtypes.bfloat16)
    }
    numbers |= {
        d: rng.integers(0, 100, size=(4,)).astype(d)
        for d in ("int64", "int32", "int16", "int8", "uint8", "bool")
    }
    numbers["scalar"] = np.array(7, np.int64)
    return numbers
