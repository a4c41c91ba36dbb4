"""Parts of long jobs: made once, whole or not there, never stale."""

import functools
import io
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxattr as ja
from jaxattr.evaluation.runs.files import make_folder
from jaxattr.evaluation.runs.parts import (
    UNKNOWN,
    Parts,
    chunks,
    claim,
    digest,
    gather,
    identify,
)
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


def test_digest_sees_every_number_and_the_structure():
    tree = {"a": np.zeros(3), "b": [np.ones(2, np.float32)]}
    same = {"a": np.zeros(3), "b": [np.ones(2, np.float32)]}
    assert digest(tree) == digest(same)
    same["b"][0][1] += 1e-7
    assert digest(tree) != digest(same)
    assert digest(tree) != digest({"a": np.zeros(3), "c": [np.ones(2, np.float32)]})


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


def test_time_left_is_what_the_rest_takes_at_the_speed_so_far(monkeypatch):
    times = iter([0.0, 10.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    stream = io.StringIO()
    progress = Progress(100, stream)
    progress._found, progress.done = 40, 40
    progress.finished("x", 5)
    assert stream.getvalue() == "[45/100, 10 s, 0.5/s, 110 s left] x\n"


def test_a_folder_is_claimed_by_its_settings(tmp_path):
    settings = {"models": {"a": {"weights": "x"}}, "key": [0, 1], "names": ("b",)}
    claim(tmp_path, settings)
    claim(tmp_path, settings)
    for other, message in [
        ({"key": [0, 2]}, r"key: \[0, 1\] there, \[0, 2\] now"),
        ({"models": {"b": {}}}, "models.a: asked for there, not asked for now"),
        ({"models": {"a": {"weights": "y"}}}, 'models.a.weights: "x" there, "y" now'),
    ]:
        with pytest.raises(ValueError, match=message):
            claim(tmp_path, settings | other)
    for damaged in ("{", "", "[]", "null"):
        (tmp_path / "settings.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"settings.json: cannot be read \(.+\)"):
            claim(tmp_path, settings)


def test_what_was_not_known_is_added_and_then_holds(tmp_path):
    given = lambda first, second: {"files": {"a": first, "b": second}}
    claim(tmp_path, given("1", UNKNOWN))
    claim(tmp_path, given("1", "2"))
    claim(tmp_path, given(UNKNOWN, "2"))
    for other, message in [
        (("1", "3"), 'files.b: "2" there, "3" now'),
        (("3", UNKNOWN), 'files.a: "1" there, "3" now'),
    ]:
        with pytest.raises(ValueError, match=message):
            claim(tmp_path, given(*other))


def test_opening_a_folder_removes_what_killed_processes_left(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = tmp_path / f".images.csv.{process.pid}.partial"
    kept = [
        tmp_path / f".images.csv.{os.getpid()}.partial",  # being written
        tmp_path / ".mine.partial",
        tmp_path / "images.csv",
    ]
    for path in (gone, *kept):
        path.touch()
    make_folder(tmp_path)
    assert set(tmp_path.iterdir()) == set(kept)


def test_functions_are_known_by_what_they_enclose():
    name, _ = identify(ja.attacks.gra(num_samples=5).gradient)
    assert "neighbourhood" in name
    attacks = [ja.attacks.gra(num_samples=n) for n in (5, 5, 20)]
    first, same, other = (identify(attack) for attack in attacks)
    assert first == same != other
    assert identify(ja.attacks.gra(eta=0.9)) != identify(ja.attacks.gra(eta=0.8))
    assert identify(functools.partial(max, 1)) != identify(functools.partial(max, 2))
    assert identify(np.zeros(2)) != identify(np.ones(2))
    assert identify(ja.scores.logit) == "jaxattr.scores.logit"
