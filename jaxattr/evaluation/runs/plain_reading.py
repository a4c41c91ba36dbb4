"""Reading ahead with a plain pool of threads: few items, or where there is no grain."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Generator, Sequence
from typing import Any

from jaxattr.evaluation.runs.outcomes import Outcome, outcome_of


def in_threads(
    read: Callable[[Any], Any], items: Sequence[Any], count: int, ahead: int
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
