"""Reading ahead: threads decode and prepare what comes next while the device computes.

Decoders of photographs work outside of Python's lock, so threads use all cores, and what
they read needs not to be copied from one process to another.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from jaxattr._checks import check_integer

Item = TypeVar("Item")
Read = TypeVar("Read")

GROUPS_AHEAD = 2
"""So many groups are read beyond the one that is worked on, or more small ones."""


def default_workers() -> int:
    """Threads that decode where nobody says how many: one a core, at most 16."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(16, len(usable(0)) if usable else os.cpu_count() or 1)


def read_ahead(
    read: Callable[[Item], Read],
    groups: Iterable[Sequence[Item]],
    *,
    workers: int | None = None,
) -> Iterator[list[Read | ValueError]]:
    """What each item of each group is, in their order, read before it is asked for.

    Args:
      read: reads an item, called in threads.
      groups: what is worked on together; asked for one after the other, in the thread
        of the caller, and not further ahead than needed.
      workers: threads, by default ``default_workers``.

    Yields:
      A group: what ``read`` returned of each item, or the ``ValueError`` that it raised,
      such as of a photograph that is damaged. Anything else that it raises is raised
      here, when it is the turn of the item.

    Raises:
      ValueError: less than one worker.

    >>> list(read_ahead(str, [[1, 2], [3]], workers=2))
    [['1', '2'], ['3']]
    """
    count = default_workers() if workers is None else check_integer("workers", workers)
    left = iter(groups)
    waiting: collections.deque[list[concurrent.futures.Future[Read]]]
    waiting = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(count, "jaxattr-reader")
    try:
        while True:
            while len(waiting) < GROUPS_AHEAD or sum(map(len, waiting)) < 2 * count:
                group = next(left, None)
                if group is None:
                    break
                waiting.append([pool.submit(read, item) for item in group])
            if not waiting:
                return
            yield [*map(_outcome, waiting.popleft())]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _outcome(future: concurrent.futures.Future[Read]) -> Read | ValueError:
    try:
        return future.result()
    except ValueError as error:
        return error
