"""Wall-clock times of compiled functions, taken in turn so that drift cancels."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import jax


def compile_time(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """The compiled function and the seconds that tracing and compiling it took."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*args).compile()
    return compiled, time.perf_counter() - start


def compile_all(
    functions: list[Callable[..., Any]], *args: Any, threads: int
) -> list[tuple[Any, float]]:
    """``compile_time`` of each; with several threads the seconds say little."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda f: compile_time(f, *args), functions))


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a process of its own.

    What the allocator holds on to after one network changes the times of the next by up
    to two.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *args).result()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds the file that ``JAXATTR_TIMING_LOCK`` names, if any, while it times.

    Benchmarks that share a device compile side by side and take turns at timing.
    """
    path = os.environ.get("JAXATTR_TIMING_LOCK")
    if not path:
        yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def in_turn(
    functions: list[Callable[[], Any]], *, rounds: int
) -> tuple[list[float], list[list[float]]]:
    """Median seconds of each, and all of them ``(rounds, functions)``.

    Every function runs once unmeasured, then all of them in turn, so that a machine
    whose speed drifts slows all alike; compare within a round.
    """
    for function in functions:
        jax.block_until_ready(function())
    taken = []
    for _ in range(rounds):
        row = []
        for function in functions:
            start = time.perf_counter()
            jax.block_until_ready(function())
            row.append(time.perf_counter() - start)
        taken.append(row)
    return [statistics.median(column) for column in zip(*taken, strict=True)], taken


def ratio(taken: list[list[float]], numerator: int, denominator: int) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(row[numerator] / row[denominator] for row in taken)
