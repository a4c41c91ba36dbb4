"""What tests compile is kept for the next run: compiling is half of what they cost.

``JAXATTR_TEST_PROGRAMS`` names another folder, or ``off`` to compile all anew. Programs
are made for one processor, which the name of the folder tells.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import platform

MAX_BYTES = 4 * 2**30


def folder() -> pathlib.Path | None:
    """Where programs are kept, or None."""
    asked = os.environ.get("JAXATTR_TEST_PROGRAMS")
    if asked is not None:
        return None if asked.lower() in ("", "0", "off") else pathlib.Path(asked)
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    mark = hashlib.sha256(_processor().encode()).hexdigest()[:8]
    return pathlib.Path(cache) / "jaxattr" / f"test-programs-{mark}"


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = [line for line in lines if line.startswith(("model name", "flags"))]
    return "\n".join(sorted({*facts}))


def settings() -> dict[str, str]:
    """Of the environment, for JAX before it is imported and processes that tests start."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return {}
    place = folder()
    try:
        if place is None:
            return {}
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}  # a home that cannot be written: all is compiled
    return {
        "JAX_COMPILATION_CACHE_DIR": str(place),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
