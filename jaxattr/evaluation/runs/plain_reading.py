"""Reading ahead with plain pools: few items, processes, or where there is no grain."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Generator, Iterable
from typing import Any

from jaxattr.evaluation.runs.outcomes import Outcome, outcome_of
from jaxattr.evaluation.runs.worker_processes import WorkerProcesses


def in_threads(
    read: Callable[[Any], Any], items: Iterable[Any], count: int, ahead: int
) -> Generator[Outcome, None, None]:
    """What ``read`` makes of each, in so many threads, ``ahead`` items ahead."""
    left = iter(items)
    pool = concurrent.futures.ThreadPoolExecutor(count, "jaxattr-reader")
    submit = lambda number: [
        pool.submit(outcome_of, read, item) for item in itertools.islice(left, number)
    ]
    try:
        waiting = collections.deque(submit(ahead))
        while waiting:
            outcome = waiting.popleft().result()
            waiting.extend(submit(1))
            yield outcome
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def in_processes(
    read: Callable[[Any], Any],
    then: Callable[[Any, Any], Any],
    items: Iterable[Any],
    count: int,
    ahead: int,
) -> Generator[Outcome, None, None]:
    """``then(item, read(item))`` of each: ``read`` in processes, ``then`` in threads.

    Raises:
      ValueError: ``read`` cannot be sent to a process.
    """
    with WorkerProcesses(read, count) as processes:
        begun = ((item, processes.submit(item)) for item in items)
        yield from in_threads(lambda b: then(b[0], b[1]()), begun, count, ahead)
