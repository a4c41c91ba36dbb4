"""A reader of the pickles in torch's files that knows tensors and nothing else."""

from __future__ import annotations

import collections
import pickle
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, ClassVar, NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from jaxattr.checkpoints.errors import CheckpointError, is_size

STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class Storage(NamedTuple):
    """A flat run of numbers that lies elsewhere in the file."""

    key: str
    dtype: np.dtype
    numel: int


class Tensor(NamedTuple):
    """A strided view of a storage; its numbers are unchecked."""

    storage: Storage
    offset: object
    shape: object
    strides: object


def load_pickle(stream: BinaryIO, storages: dict[str, Storage] | None = None) -> object:
    """One pickle from ``stream``, of plain data and ``Tensor``.

    Args:
      stream: left behind the pickle.
      storages: filled with the storages that the pickle refers to, if given.

    Raises:
      CheckpointError: for any other content; nothing that the pickle names is imported
        or called.
    """
    try:
        return _Unpickler(stream, {} if storages is None else storages).load()
    except CheckpointError:
        raise
    except EOFError as error:
        raise CheckpointError("truncated: a pickle ends early") from error
    # Opcodes applied to the wrong things raise whatever those things raise.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"truncated or corrupt pickle ({reason:.120})") from error


def _check_keys(keys: Iterable[object]) -> None:
    """Of a state dict they are names. A tuple that holds itself twice, 50 levels deep, is
    short as a pickle, and to hash it takes years."""
    for key in keys:
        if not isinstance(key, str | bytes | int | float | None):
            raise CheckpointError(f"refused: a key that is a {type(key).__name__}")


def _ordered(pairs: object = ()) -> collections.OrderedDict[object, object]:
    pairs = [(key, value) for key, value in cast(Iterable[Any], pairs)]
    _check_keys(key for key, _ in pairs)
    return collections.OrderedDict(pairs)


def _with_keys(
    load: Callable[[pickle.Unpickler], None],
    keys: Callable[[list[object]], Sequence[object]],
) -> Callable[[pickle.Unpickler], None]:
    """An opcode that hashes some of what lies on the stack, after a look at it."""

    def looked_at(unpickler: Any) -> None:
        _check_keys(keys(unpickler.stack))
        load(unpickler)

    return looked_at


_HASHED: dict[bytes, Callable[[list[object]], Sequence[object]]] = {
    pickle.SETITEM: lambda stack: stack[-2:-1],
    pickle.SETITEMS: lambda stack: stack[::2],
    pickle.DICT: lambda stack: stack[::2],
    pickle.ADDITEMS: lambda stack: stack,
    pickle.FROZENSET: lambda stack: stack,
}
"""Opcodes that hash, and which of the stack (since the last mark)."""


# The implementation in Python: the one in C allocates what the pickle asks for (a memo
# index of 2³¹ takes 32 GB), and a state dict's pickle is small.
class _Unpickler(pickle._Unpickler):
    # Of a bytearray it allocates the length that is announced, and no tensor has one.
    dispatch: ClassVar[dict[int, Callable[[pickle.Unpickler], None]]] = {
        opcode: load
        for opcode, load in pickle._Unpickler.dispatch.items()
        if opcode != pickle.BYTEARRAY8[0]
    } | {
        opcode[0]: _with_keys(pickle._Unpickler.dispatch[opcode[0]], keys)
        for opcode, keys in _HASHED.items()
    }

    def __init__(self, stream: BinaryIO, storages: dict[str, Storage]):
        super().__init__(stream, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> object:
        # What this returns can be changed by a BUILD opcode, so nothing shared does
        # come back: strings and fresh functions.
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return lambda *arguments: _ordered(*arguments)
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _rebuild(*arguments)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise CheckpointError(
            f"refused: its pickle names {f'{module}.{name}':.120}, which is no part of"
            " a state dict (nothing was executed)"
        )

    def get_extension(self, code: int) -> object:
        raise CheckpointError(f"refused: its pickle uses extension {code}")

    def persistent_load(self, reference: object) -> Storage:
        match reference:
            case ("storage", str(dtype), str(key), str(), int(numel), *view) if (
                is_size(numel) and dtype in STORAGES.values() and view in ([], [None])
            ):
                storage = Storage(key, np.dtype(getattr(jnp, dtype)), numel)
            case _:
                raise CheckpointError(f"unknown storage {reprlib.repr(reference):.120}")
        if self._storages.setdefault(key, storage) != storage:
            raise CheckpointError(f"storage {key:.80} is described in two ways")
        return storage


def _rebuild(
    storage: object, offset: object, shape: object, strides: object, *rest: object
) -> Tensor:
    """As torch's; behind gradient and hooks may stand that the signs are turned."""
    if any(rest[2:]):
        raise CheckpointError(
            f"a tensor is a negated or conjugated view ({reprlib.repr(rest[2]):.80}); save"
            " tensor.clone() or tensor.resolve_neg()"
        )
    return _tensor(storage, offset, shape, strides)


def _tensor(storage: object, offset: object, shape: object, strides: object) -> Tensor:
    if not isinstance(storage, Storage):
        raise CheckpointError("a tensor without a storage")
    return Tensor(storage, offset, shape, strides)
