"""Parts of long jobs: made once, whole or not there, never stale."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr.evaluation.runs.parts import Parts, chunks, gather
from jaxattr.evaluation.runs.progress import Progress


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


def test_chunks_are_filled_up_and_keep_the_keys_of_the_whole():
    key = jax.random.key(3)
    found = list(chunks(5, 2, key))
    assert [c.count for c in found] == [2, 2, 1]
    assert {len(c.index) for c in found} == {2}
    whole = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(5))
    parts = [{"keys": jax.random.key_data(c.keys).T} for c in found]
    np.testing.assert_array_equal(
        gather(parts, "keys", 5, axis=1), jax.random.key_data(whole).T
    )


def test_what_is_found_counts_as_done_but_not_as_speed(tmp_path):
    stream = io.StringIO()
    for total in (1, 2):
        progress = Progress(4, stream)
        for chunk in list(chunks(4, 2, jax.random.key(0)))[:total]:
            chunk.make(
                Parts(tmp_path),
                "model method",
                {},
                lambda: {"values": np.ones(2)},
                progress=progress,
                items=chunk.count,
            )
    first, found, made = stream.getvalue().splitlines()
    assert first.startswith("[2/4, 0 s, ")
    assert first.endswith(" left] model method 2/4")
    assert found == "[2/4, 0 s] model method 2/4"
    assert made.startswith("[4/4, 0 s, ")
    assert {p.name[:19] for p in tmp_path.iterdir()} == {
        "model-method-00000-",
        "model-method-00002-",
    }
