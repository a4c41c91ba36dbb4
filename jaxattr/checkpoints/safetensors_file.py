"""The safetensors format: a length, a JSON header, raw bytes."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np

from jaxattr.checkpoints.errors import CheckpointError, check_shape, is_size, to_array

MAX_HEADER = 100_000_000
"""Bytes; the limit of the format's own reader."""

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}


def read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a file's content by name.

    Raises:
      CheckpointError: for anything that the format does not allow: a header longer than
        the file, overlapping or missing bytes, unknown dtypes, names given twice.
    """
    header, body = _split(data)
    tensors, spans = {}, []
    _check_metadata(header.pop("__metadata__", None))
    for name, entry in header.items():
        dtype, shape, (begin, end) = _entry(name, entry, len(body))
        tensors[name] = to_array(name, body[begin:end], dtype, shape)
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise CheckpointError(f"tensors overlap or leave a gap at byte {begin}")
        position = end
    if position != len(body):
        raise CheckpointError(f"{len(body) - position} bytes belong to no tensor")
    return tensors


def _split(data: bytes) -> tuple[dict[str, object], memoryview]:
    if len(data) < 8:
        raise CheckpointError(f"truncated: {len(data)} bytes")
    length = int.from_bytes(data[:8], "little")
    if length > min(MAX_HEADER, len(data) - 8):
        raise CheckpointError(
            f"truncated or not safetensors: a header of {length} bytes in a file of"
            f" {len(data)}"
        )
    try:
        # Of bytes ``json`` would guess the encoding, and read UTF-16 and a byte order
        # mark, which the format does not have.
        header = json.loads(
            data[8 : 8 + length].decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_integer,
        )
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError("the header is not a JSON object")
    return header, memoryview(data)[8 + length :]


def _entry(
    name: str, entry: object, available: int
) -> tuple[np.dtype, tuple[int, ...], tuple[int, int]]:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= {
        *entry
    }:
        raise CheckpointError(f"{name}: no dtype, shape and data_offsets")
    dtype, offsets = entry["dtype"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(f"{name}: unknown dtype {dtype!r:.80}")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(map(is_size, offsets))
    ):
        raise CheckpointError(f"{name}: bad data_offsets {offsets!r:.80}")
    begin, end = offsets
    if not begin <= end <= available:
        raise CheckpointError(
            f"truncated: {name} lies at bytes {begin} to {end} of {available}"
        )
    return DTYPES[dtype], check_shape(name, entry["shape"]), (begin, end)


def _check_metadata(metadata: object) -> None:
    """Absent, null, or text by name, as the format's own reader takes it."""
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise CheckpointError(
            f"the header's __metadata__ is not text by name, {metadata!r:.80}"
        )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckpointError("a name is given twice in the header")
    for name in result:
        # Half of a pair of surrogates, which is no text: no stream could print it.
        if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
            raise CheckpointError(f"the name {name!r:.80} is no Unicode text")
    return result


def _refuse_constant(text: str) -> None:
    raise CheckpointError(f"the header is not JSON (it has {text})")


def _integer(text: str) -> int:
    """A JSON integer; -0 is a floating-point number to the format's own reader."""
    if text == "-0":
        raise CheckpointError("the header has -0, which is no size")
    return int(text)
