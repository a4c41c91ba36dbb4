"""Reading ahead: what comes next is read and prepared while the device computes.

Decoders of photographs work outside of Python's lock, so threads use all cores, and what
they read needs not to be copied from one process to another. For what does not, there
are ``worker_processes``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxattr._checks import check_integer, fail
from jaxattr.evaluation.runs import grain_reading, plain_reading
from jaxattr.evaluation.runs.outcomes import Outcome
from jaxattr.evaluation.runs.readers import Reader

Item = TypeVar("Item")
Read = TypeVar("Read")

Workers = int | str | None
"""As callers say it: a number of threads, ``"processes:N"``, or None for the default."""


class WorkerCount(NamedTuple):
    """Who reads."""

    number: int
    processes: bool = False
    """Rather than threads."""


GROUPS_AHEAD = 2
"""So many groups are read beyond the one that is worked on, or more small ones."""
WORTH_GRAIN = 256
"""Fewer items are read before grain is imported."""


def default_workers() -> int:
    """Threads that decode where nobody says how many: one a core, at most 16."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(16, len(usable(0)) if usable else os.cpu_count() or 1)


def as_workers(given: Workers) -> WorkerCount:
    """What ``workers`` means.

    Raises:
      ValueError: less than one worker, or another text.

    >>> as_workers("processes:4")
    WorkerCount(number=4, processes=True)
    """
    if given is None:
        return WorkerCount(default_workers())
    if not isinstance(given, str):
        return WorkerCount(check_integer("workers", given))
    found = re.fullmatch(r"(processes:)?0*([1-9]\d{0,5})", given.strip())
    if not found:
        raise fail("workers", "a number of threads, or processes:N", given)
    return WorkerCount(int(found[2]), bool(found[1]))


def read_ahead(
    read: Callable[[Item], Read],
    groups: Sequence[Sequence[Item]],
    *,
    workers: Workers = None,
) -> Iterator[list[Read | ValueError]]:
    """What each item of each group is, in their order, read before it is asked for.

    Args:
      read: reads an item, called in threads.
      groups: what is worked on together.
      workers: threads, by default ``default_workers``; a ``read`` that processes can be
        sent may be called in ``"processes:N"``.

    Yields:
      A group: what ``read`` returned of each item, or the ``ValueError`` that it raised,
      such as of a photograph that is damaged. Anything else that it raises is raised
      here, when it is the turn of the item.

    Raises:
      ValueError: less than one worker, or a ``read`` that processes cannot be sent.
      ChildProcessError: processes died, again and again.

    >>> list(read_ahead(str, [[1, 2], [3]], workers=2))
    [['1', '2'], ['3']]
    """
    return _ahead(read, lambda _, found: found, groups, as_workers(workers))


def images_ahead(
    reader: Reader, groups: Sequence[Sequence[int]], *, workers: Workers = None
) -> Iterator[list[np.ndarray | ValueError]]:
    """Images ``(H, W, C)`` as a model takes them, by number, as ``read_ahead`` does.

    They are read in threads or processes, and prepared in threads.
    """
    who = as_workers(workers)
    items = [[reader.item(i) for i in group] for group in groups]
    return _ahead(reader.read, reader.prepare, items, who, reads=reader.in_processes)


def _ahead(
    read: Callable[[Any], Any],
    then: Callable[[Any, Any], Any],
    groups: Sequence[Sequence[Any]],
    workers: WorkerCount,
    reads: bool = True,
) -> Iterator[list[Any]]:
    """``then(item, read(item))`` of each; arrays are there, and nothing ``reads``."""
    items = [item for group in groups for item in group]
    count = workers.number
    ahead = max(GROUPS_AHEAD * max(map(len, groups), default=0), 2 * count)
    whole = lambda item: then(item, read(item))
    if reads and workers.processes:
        outcomes = plain_reading.in_processes(read, then, items, count, ahead)
    elif reads and len(items) >= WORTH_GRAIN and grain_reading.is_installed():
        outcomes = grain_reading.in_threads(whole, items, count, ahead)
    else:
        outcomes = plain_reading.in_threads(whole, items, count, ahead)
    with contextlib.closing(outcomes):
        for group in groups:
            yield [_value(next(outcomes)) for _ in group]


def _value(outcome: Outcome) -> Any:
    if outcome.error is None:
        return outcome.value
    if isinstance(outcome.error, ValueError):
        return outcome.error
    raise outcome.error
