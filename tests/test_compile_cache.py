"""Compiled programs that commands keep between calls."""

import argparse
import os
import pathlib

import jax
import jax.numpy as jnp
import pytest

from jaxattr.commands import _compile_cache
from jaxattr.commands._compile_cache import cache_folder, kept_programs, remove_oldest

ASKED = argparse.Namespace(compile_cache=True, quiet=False)


@pytest.fixture(autouse=True)
def nobody_told_jax(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"HOME": "/h"}, "linux", "/h/.cache/jaxattr/programs"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/jaxattr/programs"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "linux", "/x/jaxattr/programs"),
        ({"LOCALAPPDATA": "/l", "USERPROFILE": "/u"}, "win32", "/l/jaxattr/programs"),
        ({"HOME": "/h", "JAXATTR_COMPILE_CACHE": "/mine"}, "linux", "/mine"),
        ({"HOME": "/h", "JAXATTR_COMPILE_CACHE": "off"}, "linux", None),
    ],
)
def test_the_folder_of_a_user(environ, platform, expected):
    folder = cache_folder(environ, platform)
    assert folder == (expected and pathlib.Path(expected))


def compiled(number):
    jax.block_until_ready(jax.jit(lambda x: jnp.sin(x * number))(jnp.ones(3)))


def test_programs_are_kept_inside_only(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXATTR_COMPILE_CACHE", str(tmp_path / "new/programs"))
    with kept_programs(ASKED):
        compiled(0.125)
    kept = set(tmp_path.glob("new/programs/*-cache"))
    assert kept
    assert jax.config.jax_compilation_cache_dir is None
    compiled(0.25)
    for switched_off in (argparse.Namespace(compile_cache=False), argparse.Namespace()):
        with kept_programs(switched_off):
            compiled(0.375)
    assert set(tmp_path.glob("new/programs/*-cache")) == kept


def test_what_jax_was_told_is_obeyed(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXATTR_COMPILE_CACHE", str(tmp_path / "mine"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "others"))
    with kept_programs(ASKED):
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "others")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, monkeypatch, capsys, quiet):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAXATTR_COMPILE_CACHE", str(tmp_path / "file/programs"))
    with kept_programs(argparse.Namespace(compile_cache=True, quiet=quiet)):
        compiled(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == (
        [] if quiet else ["compiled programs are not kept"]
    )


@pytest.mark.slow
def test_a_program_that_is_damaged_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXATTR_COMPILE_CACHE", str(tmp_path))
    with kept_programs(ASKED):
        compiled(0.625)
    for path in tmp_path.glob("*-cache"):
        path.write_bytes(b"damaged")
    jax.clear_caches()
    with kept_programs(ASKED):  # a warning would be an error here
        compiled(0.625)


def test_the_oldest_are_removed(tmp_path):
    for age, name in enumerate("abc"):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "other").write_bytes(bytes(100))
    remove_oldest(tmp_path, 250)
    assert {p.name for p in tmp_path.iterdir()} == {"a-cache", "b-cache", "other"}


def test_without_filelock_the_size_is_bounded_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXATTR_COMPILE_CACHE", str(tmp_path))
    monkeypatch.setattr(_compile_cache.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(_compile_cache, "MAX_BYTES", 0)
    (tmp_path / "old-cache").write_bytes(bytes(100))
    with kept_programs(ASKED):
        compiled(0.75)
    assert not (tmp_path / "old-cache").exists()
    assert list(tmp_path.glob("*-cache"))
