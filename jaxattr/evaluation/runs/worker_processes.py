"""Reading in processes: for what keeps Python's lock while it reads.

Decoders of photographs work outside of the lock, so threads are as fast and cheaper. A
data set whose ``__getitem__`` is Python code keeps it, and then only processes use all
cores.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")

MOST_DEATHS = 3
"""So often workers may die; what they were reading is read again by new ones."""


class WorkerProcesses(Generic[Item, Read]):
    """Processes that read items; they end with this one, however it ends.

    Args:
      read: a function that can be pickled; each process gets it once.
      count: how many processes.

    Raises:
      ValueError: ``read`` cannot be pickled.
    """

    def __init__(self, read: Callable[[Item], Read], count: int) -> None:
        try:
            self._pickled = pickle.dumps(read)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                "workers: expected images that processes can be sent, of classes and "
                f"functions that are in a module, got {reason}; threads take any: "
                f"workers={count}"
            ) from None
        self._count = count
        self._deaths = 0
        self._lock = threading.Lock()
        self._pool = self._start()

    def _start(self) -> concurrent.futures.ProcessPoolExecutor:
        # A copy of this process would have its locks, and not the threads that hold them.
        context = multiprocessing.get_context("spawn")
        return concurrent.futures.ProcessPoolExecutor(
            self._count, context, _begin, (self._pickled,)
        )

    def submit(self, item: Item) -> Callable[[], Read]:
        """Begins to read an item.

        Returns:
          What waits for it, from any thread, and raises what ``read`` raised, or
          ``ChildProcessError`` if processes died too often.
        """
        pool = self._pool
        begun = _begun(pool, item)

        def wait() -> Read:
            future, of_pool = begun, pool
            while True:
                if future is not None:
                    with contextlib.suppress(BrokenProcessPool):
                        return future.result()
                of_pool = self._after(of_pool)
                future = _begun(of_pool, item)

        return wait

    def _after(
        self, dead: concurrent.futures.ProcessPoolExecutor
    ) -> concurrent.futures.ProcessPoolExecutor:
        """The pool that comes after one that died; the first who asks starts it."""
        with self._lock:
            if self._pool is dead:
                self._deaths += 1
                if self._deaths > MOST_DEATHS:
                    raise ChildProcessError(
                        f"workers: {self._deaths} of the processes that read images died "
                        "(is there memory for so many, and is a script's main part under "
                        '`if __name__ == "__main__":`?)'
                    )
                self._pool = self._start()
            return self._pool

    def __enter__(self) -> WorkerProcesses[Item, Read]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _begun(
    pool: concurrent.futures.ProcessPoolExecutor, item: Any
) -> concurrent.futures.Future[Any] | None:
    """What is read of an item; None if the pool has died."""
    try:
        return pool.submit(_read, item)
    except BrokenProcessPool:
        return None


# In a worker.

_here: Callable[[Any], Any]
"""What a worker reads with."""


def _begin(pickled: bytes) -> None:
    global _here
    # Ctrl-C goes to all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here = pickle.loads(pickled)


def _end_with_parent() -> None:
    """A worker of a process that was killed would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read(item: Any) -> Any:
    return _here(item)
