"""Flags of XLA, which ends a process that is given one it does not know."""

import importlib.util
import mmap
import pathlib


def is_known(flag: str) -> bool:
    """Whether the installed jaxlib has a flag, by a search for its name.

    As a string that ends where it ends: names of flags that are gone stay in messages.
    """
    name = b"\0" + flag.encode() + b"\0"
    spec = importlib.util.find_spec("jaxlib")
    for folder in spec.submodule_search_locations:
        for path in pathlib.Path(folder).glob("libjax_common.*"):
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                return content.find(name) >= 0
    return False
