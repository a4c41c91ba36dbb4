import sys
import threading
import time

import numpy as np
import pytest

from jaxattr.evaluation.runs import read_ahead as module
from jaxattr.evaluation.runs.read_ahead import images_ahead, read_ahead
from jaxattr.evaluation.runs.readers import of_array

NUMBER = module.WORTH_GRAIN
GROUPS = [range(i, i + 16) for i in range(0, NUMBER, 16)]


def names_of_threads(groups):
    """Which threads read, and what."""
    threads = set()

    def read(item):
        threads.add(threading.current_thread().name.split("_")[0])
        if item == 3:
            raise ValueError("image 3: damaged")
        return -item

    found = [item for group in read_ahead(read, groups, workers=2) for item in group]
    assert str(found.pop(3)) == "image 3: damaged"
    assert found == [-i for group in groups for i in group if i != 3]
    return threads


def test_a_large_set_is_read_by_grain_and_a_small_one_is_not():
    pytest.importorskip("grain")
    assert names_of_threads(GROUPS) == {"grain-prefetch"}
    assert names_of_threads(GROUPS[:4]) == {"jaxattr-reader"}


@pytest.mark.parametrize("broken", [None, "a folder of that name"])
def test_without_grain_a_pool_does_the_same(monkeypatch, tmp_path, broken):
    if broken is None:
        monkeypatch.setitem(sys.modules, "grain", None)
    else:
        monkeypatch.delitem(sys.modules, "grain", raising=False)
        (tmp_path / "grain").mkdir()
        (tmp_path / "grain/__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
    assert names_of_threads(GROUPS) == {"jaxattr-reader"}


def test_arrays_need_no_grain(monkeypatch):
    monkeypatch.setattr(module.grain_reading, "is_installed", None)
    images = np.arange(NUMBER)[:, None, None, None]
    found = images_ahead(of_array(images), GROUPS, workers=2)
    assert [int(x[0, 0, 0]) for group in found for x in group] == list(range(NUMBER))


def test_no_more_threads_are_left_than_before():
    pytest.importorskip("grain")
    before = threading.active_count()
    found = read_ahead(str, GROUPS, workers=4)
    next(found)
    assert threading.active_count() > before
    found.close()
    for _ in range(100):
        if threading.active_count() <= before:
            return
        time.sleep(0.1)
    pytest.fail("threads live on")
