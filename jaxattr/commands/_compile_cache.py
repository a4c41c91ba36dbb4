"""Compiled programs kept between one call of a command and the next.

Compiling takes most of the time of a short command. JAX keeps compiled programs in a
folder and finds them by all that decides them; a command chooses the folder, in the
user's cache, and bounds its size.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import pathlib
import sys
import warnings
from collections.abc import Iterator, Mapping

import jax
from jax.experimental.compilation_cache import compilation_cache

VARIABLE = "JAXATTR_COMPILE_CACHE"
"""Of the environment: a folder of one's own, or ``off``."""
MAX_BYTES = 4 * 2**30
"""Programs that were not used for the longest are removed above it."""


def add_compile_cache(parser: argparse.ArgumentParser) -> None:
    """``--no-compile-cache``."""
    parser.add_argument(
        "--no-compile-cache",
        dest="compile_cache",
        action="store_false",
        help="keep no compiled programs; by default they are kept in the user's cache "
        f"folder, or where {VARIABLE} says",
    )


def cache_folder(
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> pathlib.Path | None:
    """Where compiled programs are kept; None for nowhere."""
    asked = environ.get(VARIABLE)
    if asked is not None:
        is_off = asked.strip().lower() in ("", "0", "off", "no", "none")
        return None if is_off else pathlib.Path(asked)
    home = pathlib.Path(environ.get("HOME") or environ.get("USERPROFILE") or "~")
    base = {
        "darwin": home / "Library/Caches",
        "win32": pathlib.Path(environ.get("LOCALAPPDATA") or home / "AppData/Local"),
    }.get(platform, home / ".cache")
    if environ.get("XDG_CACHE_HOME"):
        base = pathlib.Path(environ["XDG_CACHE_HOME"])
    return base.expanduser() / "jaxattr" / "programs"


@contextlib.contextmanager
def kept_programs(arguments: argparse.Namespace) -> Iterator[None]:
    """Inside of it, compiled programs are found and kept, where a command compiles.

    Who told JAX itself where to keep them (``JAX_COMPILATION_CACHE_DIR``) is obeyed. A
    folder that cannot be written is no error: one line says so.
    """
    folder = cache_folder() if getattr(arguments, "compile_cache", False) else None
    if folder is None or _of_jax("jax_compilation_cache_dir") is not None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        if not arguments.quiet:
            line = f"compiled programs are not kept: {folder}: {error.strerror}"
            print(f"jaxattr: {line}", file=sys.stderr)
        yield
        return
    settings: dict[str, object] = {
        "jax_compilation_cache_dir": str(folder),
        # A command runs many small programs, each of them read faster than compiled.
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    if importlib.util.find_spec("filelock"):
        settings["jax_compilation_cache_max_size"] = MAX_BYTES
    else:  # JAX bounds the folder only with filelock
        remove_oldest(folder, MAX_BYTES)
    before = {name: _of_jax(name) for name in settings}
    try:
        _configure(settings)
        with warnings.catch_warnings():
            # A full disk, a program that is damaged: it is compiled, and that is all.
            problem = "Error (reading|writing) persistent compilation cache"
            warnings.filterwarnings("ignore", problem)
            yield
    finally:
        _configure(before)


def remove_oldest(folder: pathlib.Path, max_bytes: int) -> None:
    """Removes the files that were not used for the longest, down to a size."""
    found = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):  # another process removes them too
            facts = path.stat()
            found.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    size = sum(size for _, size, _ in found)
    for _, one, path in sorted(found):
        if size <= max_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
        size -= one


def _of_jax(name: str) -> object:
    return getattr(jax.config, name)


def _configure(settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # it looks at them once
