"""What the readers of checkpoints share: one error, and a checked view of raw bytes."""

from __future__ import annotations

import math
import reprlib
from typing import TypeGuard

import jax.numpy as jnp
import numpy as np


class CheckpointError(ValueError):
    """What is wrong with a file; ``read_checkpoint`` adds which file.

    One line of printable characters: names in the file may hold any.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


def is_size(value: object) -> TypeGuard[int]:
    """Whether it is a number of things, and no bool."""
    return type(value) is int and 0 <= value < 2**63


def check_shape(name: str, shape: object) -> tuple[int, ...]:
    """The shape as a tuple, of sizes only."""
    if not isinstance(shape, tuple | list) or not all(map(is_size, shape)):
        raise CheckpointError(f"{name}: bad shape {reprlib.repr(shape):.80}")
    if len(shape) > 32:  # what NumPy 1 can hold; weights have at most six
        raise CheckpointError(f"{name}: {len(shape)} dimensions")
    # A size of 0 makes the product 0, but NumPy still multiplies the others.
    if math.prod(size or 1 for size in shape) >= 2**60:
        raise CheckpointError(f"{name}: the shape {list(shape)} is too large")
    return tuple(shape)


def native(name: str, array: np.ndarray) -> np.ndarray:
    """Numbers in the byte order of this machine; what holds no numbers is refused.

    NumPy does not know bfloat16 and writes it to ``.npy`` as 2 bytes of no type,
    which nothing else that is read here does; ``jax.numpy.load`` reads it so too.
    """
    if array.dtype == np.dtype("V2"):
        return array.view(jnp.bfloat16)
    if array.dtype.kind not in "biuf":
        raise CheckpointError(
            f"{name}: holds no numbers that can be read, dtype {array.dtype!s:.80}; save"
            " it as float32, or as .safetensors, which keeps narrow types"
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def to_array(
    name: str, data: bytes | memoryview, dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    """An array of its own, of exactly these little-endian bytes."""
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise CheckpointError(
            f"{name}: {dtype}{list(shape)} takes {expected} bytes, not {len(data)}"
        )
    stored = dtype.newbyteorder("<") if dtype.kind in "iuf" else dtype
    return np.frombuffer(data, stored).astype(dtype).reshape(shape)
