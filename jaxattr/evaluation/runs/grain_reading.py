"""Reading ahead with grain: what is read is a ``grain.MapDataset``, in threads.

It keeps the order and reads some items beyond the one that is asked for. Where there is
no grain, ``plain_reading`` does the same.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Any

from jaxattr.evaluation.runs.outcomes import Outcome, outcome_of


def is_installed() -> bool:
    """Whether there is grain, of the extra ``scale``, which then can be imported."""
    try:
        import grain
    except ImportError:
        return False
    # A folder of that name can be imported, too.
    return hasattr(grain, "MapDataset")


def in_threads(
    read: Callable[[Any], Any], items: Sequence[Any], count: int, ahead: int
) -> Generator[Outcome, None, None]:
    """What ``read`` makes of each, in so many threads, ``ahead`` items ahead."""
    import grain

    options = grain.ReadOptions(num_threads=count, prefetch_buffer_size=ahead)
    data = grain.MapDataset.source(items).map(functools.partial(outcome_of, read))
    with contextlib.closing(iter(data.to_iter_dataset(options))) as found:
        yield from found
