"""What the readers of checkpoints share: one error, and a checked view of raw bytes."""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np


class CheckpointError(ValueError):
    """What is wrong with a file; ``read_checkpoint`` adds which file."""


def is_size(value: object) -> TypeGuard[int]:
    """Whether it is a number of things, and no bool."""
    return type(value) is int and 0 <= value < 2**63


def check_shape(name: str, shape: object) -> tuple[int, ...]:
    """The shape as a tuple, of sizes only."""
    if not isinstance(shape, tuple | list) or not all(map(is_size, shape)):
        raise CheckpointError(f"{name}: bad shape {shape!r:.80}")
    if len(shape) > 32:  # what NumPy 1 can hold; weights have at most six
        raise CheckpointError(f"{name}: {len(shape)} dimensions")
    return tuple(shape)


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
