"""Parts of long jobs: made once, whole or not there, never stale."""

import numpy as np
import pytest

from jaxattr.evaluation.runs.parts import Parts


def test_a_part_is_made_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"values": np.arange(3), "name": np.array("x")}

    for _ in range(2):
        part = Parts(tmp_path).make("model-0", {"bands": 8}, compute)
        np.testing.assert_array_equal(part["values"], [0, 1, 2])
        assert part["name"].item() == "x"
    assert calls == [1]


def test_other_settings_are_another_part(tmp_path):
    parts = Parts(tmp_path)
    first = parts.make("m", {"bands": 8}, lambda: {"v": np.ones(1)})
    other = parts.make("m", {"bands": 4}, lambda: {"v": np.zeros(1)})
    assert first["v"] != other["v"]
    assert parts.find("m", {"bands": 2}) is None
    # The order of settings says nothing.
    parts.make("m", {"a": 1, "b": 2}, lambda: {"v": np.ones(1)})
    assert parts.find("m", {"b": 2, "a": 1}) is not None


def test_a_damaged_part_is_made_again(tmp_path):
    parts = Parts(tmp_path)
    parts.make("m", {}, lambda: {"v": np.ones(100)})
    (file,) = tmp_path.glob("*.npz")
    for damage in (b"", file.read_bytes()[:60]):
        file.write_bytes(damage)
        made = parts.make("m", {}, lambda: {"v": np.zeros(100)})
        np.testing.assert_array_equal(made["v"], 0)


def test_a_part_that_fails_leaves_nothing(tmp_path):
    def fails():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Parts(tmp_path).make("m", {}, fails)
    assert list(tmp_path.iterdir()) == []
