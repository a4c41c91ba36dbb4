"""Which part of a job a process does: images are independent, so no process waits."""

from __future__ import annotations

import dataclasses
import re
import socket
import time

import jax


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of ``count`` equal shares of a job, counted from 0."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, chunk: int) -> bool:
        """Whether a chunk of images is of this share."""
        return chunk % self.count == self.index

    def share_of(self, total: int) -> int:
        """How many of so many chunks it has.

        >>> [Shard(i, 3).share_of(7) for i in range(3)]
        [3, 2, 2]
        """
        return len(range(self.index, total, self.count))


WHOLE = Shard()


def parse_shard(text: str) -> Shard:
    """``I/N`` to a share.

    Raises:
      ValueError: anything else.

    >>> parse_shard("2/8")
    Shard(index=2, count=8)
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise ValueError(f"expected I/N, such as 0/4, or auto, got {text!r}")
    index, count = int(match[1]), int(match[2])
    if index >= count:
        last = f"the last of {count} is {count - 1}/{count}" if count else "N is 0"
        raise ValueError(f"shards count from 0, {last}, got {text!r}")
    return Shard(index, count)


def distributed_shard(coordinator: str | None = None, *, timeout: int = 120) -> Shard:
    """The share of this process among those that ``jax.distributed`` finds.

    They meet once, to be counted, and part again: none waits for another later, and one
    that dies takes no other with it.

    Args:
      coordinator: ``HOST:PORT``, or ``HOST:PORT,I/N`` where the number of this process
        and of all of them is not known from the environment (Slurm, Open MPI and TPU
        pods say them).
      timeout: how many seconds to wait for the coordinator.

    Raises:
      ValueError: no coordinator that answers, or nothing says how many processes there
        are.
    """
    address, comma, which = (coordinator or "").partition(",")
    known = parse_shard(which) if comma else None
    if jax.distributed.is_initialized():
        # By whoever called: it is theirs to end.
        return Shard(jax.process_index(), jax.process_count())
    if known is not None and known.index:
        _wait_for(address, timeout)
    try:
        jax.distributed.initialize(
            address or None,
            num_processes=None if known is None else known.count,
            process_id=None if known is None else known.index,
            initialization_timeout=timeout,
        )
        found = Shard(jax.process_index(), jax.process_count())
        jax.distributed.shutdown()
    except (RuntimeError, ValueError) as error:
        raise _nobody(address, timeout, error) from None
    return found


def _wait_for(address: str, timeout: int) -> None:
    """Raises ``ValueError`` if nobody listens; JAX itself would end the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"--coordinator: expected HOST:PORT,I/N, got {address!r}")
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise _nobody(address, timeout, error) from None
        time.sleep(0.5)


def _nobody(address: str, timeout: int, error: Exception) -> ValueError:
    where = f" at {address}" if address else ""
    reason = " ".join(str(error).split())[:160]
    return ValueError(
        f"--shard auto: no coordinator{where} within {timeout} s ({reason}); give "
        "--coordinator HOST:PORT,I/N, or --shard I/N, which needs none"
    )
