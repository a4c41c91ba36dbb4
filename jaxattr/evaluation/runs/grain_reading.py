"""Reading ahead with grain, in threads or in worker processes.

What is read is a ``grain.MapDataset``, which keeps the order and reads some items beyond
the one that is asked for. ``plain_reading`` is for where there is no grain.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

from jaxattr.evaluation.runs.outcomes import Outcome, outcome_of

MOST_DEATHS = 3
"""So often worker processes may die; what they were reading is read again by new ones."""
READY = 16
"""Items that each process may at least have ready: it waits less for the others."""


def is_installed() -> bool:
    """Whether there is grain, of the extra ``scale``."""
    try:
        return importlib.util.find_spec("grain") is not None
    except ValueError:
        return False  # It is kept from being imported.


def in_threads(
    read: Callable[[Any], Any], items: Sequence[Any], count: int, ahead: int
) -> Generator[Outcome, None, None]:
    """What ``read`` makes of each, in so many threads, ``ahead`` items ahead."""
    import grain

    options = grain.ReadOptions(num_threads=count, prefetch_buffer_size=ahead)
    data = grain.MapDataset.source(items).map(functools.partial(outcome_of, read))
    with contextlib.closing(iter(data.to_iter_dataset(options))) as found:
        yield from found


def in_processes(
    read: Callable[[Any], Any],
    then: Callable[[Any, Any], Any],
    items: Sequence[Any],
    count: int,
    ahead: int,
) -> Generator[Outcome, None, None]:
    """``then(item, read(item))`` of each; ``read`` is called in so many processes.

    They end with this one, however it ends.

    Raises:
      ValueError: ``read`` cannot be sent to a process.
      ChildProcessError: processes died, again and again.
    """
    _check_can_be_sent(read, count)
    done = deaths = 0
    while done < len(items):
        left = items[done:]
        with contextlib.closing(_in_processes(read, then, left, count, ahead)) as found:
            try:
                for outcome in found:
                    done += 1
                    yield outcome
            except RuntimeError as error:
                if "terminated unexpectedly" not in str(error):
                    raise
                deaths += 1
        if deaths > MOST_DEATHS:
            raise ChildProcessError(
                f"workers: {deaths} of the processes that read images died "
                "(is there memory for so many, and is a script's main part under "
                '`if __name__ == "__main__":`?)'
            )


def _in_processes(
    read: Callable[[Any], Any],
    then: Callable[[Any, Any], Any],
    items: Sequence[Any],
    count: int,
    ahead: int,
) -> Any:
    """An iterator of grain, to be closed."""
    import grain
    from absl import flags
    from grain.experimental import ThreadPrefetchIterDataset

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain looks at them, and this is no absl script.
    each = max(READY, -(-ahead // count))
    one_thread = grain.ReadOptions(num_threads=1, prefetch_buffer_size=each)
    processes = grain.MultiprocessingOptions(count, per_worker_buffer_size=each)
    numbered = list(enumerate(items))
    data = grain.MapDataset.source(numbered).map(functools.partial(_packed, read))
    data = data.to_iter_dataset(one_thread).mp_prefetch(processes, _begin)
    data = data.map(lambda packed: _unpacked(then, items, packed))
    return iter(ThreadPrefetchIterDataset(data, prefetch_buffer_size=ahead))


def _check_can_be_sent(read: Callable[[Any], Any], count: int) -> None:
    import cloudpickle

    try:
        cloudpickle.dumps(read)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"workers: expected images that processes can be sent, got {reason}; "
            f"threads take any: workers={count}"
        ) from None


def _unpacked(
    then: Callable[[Any, Any], Any], items: Sequence[Any], packed: bytes
) -> Outcome:
    number, read = pickle.loads(packed)
    if read.error is not None:
        return read
    return outcome_of(lambda item: then(item, read.value), items[number])


# In a worker.


def _packed(read: Callable[[Any], Any], numbered: tuple[int, Any]) -> bytes:
    """What was read, as it travels: the queue would lose what cannot be pickled."""
    number, item = numbered
    outcome = outcome_of(read, item)
    try:
        return pickle.dumps((number, outcome), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        reason = f"{item!r}: cannot be sent from a process: {error}"
        return pickle.dumps((number, Outcome(error=TypeError(reason))))


def _begin(index: int, count: int) -> None:
    # Ctrl-C goes to all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker of a process that was killed would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
