"""What is public, and which page of the reference has it.

A name is public if the ``__all__`` of ``jaxattr``, or of a module that is public itself,
lists it. Pages say what they document in blocks of the directive ``api``; every public
name must be on exactly one of them. Sphinx is not needed here, so that a test can ask.
"""

from __future__ import annotations

import pathlib
import re
import types
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jaxattr


class PublicName(NamedTuple):
    """One public object."""

    path: str
    """How it is written: the shortest path that leads to it."""
    home: str
    """The module that defines it, by which pages ask for it."""
    value: object
    others: tuple[str, ...]
    """Other public paths to the same object."""


def public_names() -> list[PublicName]:
    """Every public object once, sorted by its path without regard to case."""
    found: dict[object, list[tuple[str, str, object]]] = {}
    _walk(jaxattr, found)
    names = []
    for places in found.values():
        (path, home, value), *others = sorted(places, key=lambda p: (len(p[0]), p[0]))
        names.append(PublicName(path, home, value, tuple(p for p, _, _ in others)))
    return sorted(names, key=lambda name: name.path.lower())


def _walk(module: types.ModuleType, found: dict) -> None:
    for name in module.__all__:
        value = getattr(module, name)
        path = f"{module.__name__}.{name}"
        if isinstance(value, types.ModuleType):
            _walk(value, found)
            continue
        home = getattr(value, "__module__", None)
        if callable(value) and str(home).startswith("jaxattr"):
            identity: object = (home, value.__qualname__)
        else:  # a constant, or an alias of a type: where it stands is all it has
            identity, home = path, module.__name__
        found.setdefault(identity, []).append((path, str(home), value))


def asks(text: str) -> list[str]:
    """What the ``api`` blocks of a page ask for: modules, or single names."""
    blocks = re.findall(r"^```\{api\}(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [word for block in blocks for word in block.split()]


def answers(ask: str, names: Iterable[PublicName]) -> list[PublicName]:
    """The names that a module or a name stands for."""
    return [
        name
        for name in names
        if name.path == ask or name.home == ask or name.home.startswith(f"{ask}.")
    ]


def problems(pages: Mapping[str, str]) -> list[str]:
    """What is wrong with the reference: a line each, none if all is well.

    Args:
      pages: the text of each page by its name.
    """
    names = public_names()
    found: dict[str, list[str]] = {name.path: [] for name in names}
    wrong = []
    for page, text in pages.items():
        for ask in asks(text):
            answered = answers(ask, names)
            if not answered:
                wrong.append(f"{page}: nothing public is called {ask} or defined there")
            for name in answered:
                found[name.path].append(page)
    for name in names:
        where = found[name.path]
        if not where:
            wrong.append(
                f"{name.path} is on no page of docs/reference: add its module "
                f"{name.home} to the api block of the page where it belongs"
            )
        elif len(where) > 1:
            wrong.append(f"{name.path} is asked for twice: {', '.join(where)}")
    return wrong


def reference_pages(folder: pathlib.Path) -> dict[str, str]:
    """The text of each page of the reference by its file's name."""
    return {p.name: p.read_text("utf-8") for p in sorted(folder.glob("*.md"))}
