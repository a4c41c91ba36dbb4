"""Files are whole or not there, whoever else writes to the folder."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from jaxattr.evaluation.runs import files
from jaxattr.evaluation.runs.files import create, make_folder

LOOP = """
import pathlib, sys
from jaxattr.evaluation.runs.files import atomic_write, create, make_folder

folder, times, word = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
won = 0
for i in range(times):
    make_folder(folder)
    with atomic_write(folder / "same") as file:
        file.write(word * 1000)
    assert len(set((folder / "same").read_bytes().split(b";"))) == 2
    won += create(folder / f"first{i}", word)
print(won)
"""
FILL = """
import pathlib, resource, signal, sys
import numpy as np
from jaxattr.evaluation.runs.parts import Parts

parts = Parts(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
parts.make("small", {}, lambda: {"x": np.arange(10)})
try:
    parts.make("large", {}, lambda: {"x": np.arange(100_000)})
except OSError as error:
    print(error.errno)
"""
HANG = """
import sys, time
from jaxattr.evaluation.runs.files import atomic_write

with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("half way", flush=True)
    time.sleep(60)
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_two_processes_do_not_hurt_each_other(tmp_path, times):
    both = [start(LOOP, tmp_path, times, word) for word in ("left;", "right;")]
    won = [int(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(won) == times  # each file has one who was first
    assert {p.name for p in tmp_path.iterdir()} == {
        "same",
        *(f"first{i}" for i in range(times)),
    }


def test_what_others_write_is_left_alone_for_a_day(tmp_path):
    others = [
        tmp_path / ".other-host.17.0123456789abcdef.partial",
        tmp_path / f".{os.uname().nodename}.999999.0123456789abcdef.partial",
    ]
    old = tmp_path / ".other-host.17.fedcba9876543210.partial"
    for path in (*others, old, tmp_path / "images.csv"):
        path.touch()
    day = old.stat().st_mtime - 24 * 3600
    os.utime(old, (day - 60, day - 60))
    os.utime(others[0], (day + 60, day + 60))
    make_folder(tmp_path)
    assert set(tmp_path.iterdir()) == {*others, tmp_path / "images.csv"}


def test_names_of_partial_files_are_ones_own(tmp_path):
    with files.atomic_write(tmp_path / "a"), files.atomic_write(tmp_path / "a"):
        first, second = (p.name.split(".") for p in tmp_path.iterdir())
    assert first[:-2] == second[:-2]
    assert str(os.getpid()) in first
    assert first[-2] != second[-2]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.atomic_write(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_killed_inside_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    process = start(HANG, path)
    assert process.stdout.readline() == "half way\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.glob(".*.partial"))) == 1
    make_folder(tmp_path)
    with files.atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.slow
def test_a_full_disk_loses_nothing(tmp_path):
    assert start(FILL, tmp_path).communicate()[0] == f"{errno.EFBIG}\n"
    (there,) = tmp_path.iterdir()
    assert there.name.startswith("small-")


@pytest.mark.parametrize("links", [True, False])
def test_the_first_to_create_a_file_wins(tmp_path, monkeypatch, links):
    if not links:

        def link(*arguments):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(files.os, "link", link)
    path = tmp_path / "file"
    assert create(path, b"first")
    monkeypatch.setattr(files.pathlib.Path, "exists", lambda self: False)
    assert not create(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_no_two_names_are_one_file():
    names = files.file_names(["a b", "a/b", "A-b", "a-b-2", "c"])
    assert names == {
        **{"a b": "a-b", "a/b": "a-b-2", "A-b": "A-b-3"},
        **{"a-b-2": "a-b-2-2", "c": "c"},
    }
