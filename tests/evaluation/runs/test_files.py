"""Files are whole or not there."""

import os
import subprocess
import sys

import pytest

from jaxattr.evaluation.runs import files
from jaxattr.evaluation.runs.files import make_folder


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


def test_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.atomic_write(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_two_names_are_one_file():
    names = files.file_names(["a b", "a/b", "A-b", "a-b-2", "c"])
    assert names == {
        **{"a b": "a-b", "a/b": "a-b-2", "A-b": "A-b-3"},
        **{"a-b-2": "a-b-2-2", "c": "c"},
    }
