import threading
import time

import pytest

from jaxattr.evaluation.runs import read_ahead as module
from jaxattr.evaluation.runs.read_ahead import read_ahead


def test_order_is_kept_whoever_is_first():
    last = threading.Event()

    def read(item):
        # The first waits for the third.
        if item == 0:
            assert last.wait(10)
        if item == 2:
            last.set()
        return 10 * item

    found = list(read_ahead(read, [[0, 1], [2]], workers=2))
    assert found == [[0, 10], [20]]


def test_some_groups_are_read_beyond_the_one_that_is_worked_on_and_no_more():
    read = []
    look = lambda item: read.append(item) or item

    def are_read(number):
        for _ in range(100):
            if len(read) == number:
                time.sleep(0.05)
                return len(read) == number
            time.sleep(0.05)

    found = read_ahead(look, [[i] * 8 for i in range(100)], workers=3)
    next(found)
    assert are_read(8 * (1 + module.GROUPS_AHEAD))
    found.close()
    # Small ones are read ahead for all workers.
    read.clear()
    single = read_ahead(look, [[i] for i in range(100)], workers=3)
    next(single)
    assert are_read(1 + 6)
    single.close()


def test_what_cannot_be_read_is_named_in_its_place():
    def read(item):
        if item == "b.jpg":
            raise ValueError("b.jpg: damaged")
        return item

    ((a, b, c),) = read_ahead(read, [["a", "b.jpg", "c"]])
    assert (a, c) == ("a", "c")
    assert isinstance(b, ValueError)
    assert str(b) == "b.jpg: damaged"


def test_a_worker_that_dies_is_raised_and_ends_the_others():
    def read(item):
        if item == 3:
            raise MemoryError("no memory")
        return item

    found = read_ahead(read, [[i] for i in range(200)], workers=2)
    assert [next(found), next(found), next(found)] == [[0], [1], [2]]
    with pytest.raises(MemoryError, match="no memory"):
        next(found)
    assert next(found, None) is None


def test_no_worker():
    with pytest.raises(ValueError, match="workers: expected an integer of at least 1"):
        next(read_ahead(str, [[1]], workers=0))
