"""Which class is meant: an index or a name to the index."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence


def resolve_label(text: str, names: Sequence[str] | None, num_classes: int) -> int:
    """The class that ``text`` means.

    Args:
      text: an index ``0 .. K-1`` in decimal digits, or a class name; case, and ``_``
        for a space, do not matter. Where names list synonyms, separated by commas, each
        will do.
      names: the K class names, or None where the model has none.
      num_classes: K.

    Returns:
      The index.

    Raises:
      ValueError: an index outside the classes; a name that no class has (the message
        names the nearest); a name that several classes have (it lists their indices).

    Example:
      >>> resolve_label("Crane", ["crane", "heron", "egret"], 3)
      0
    """
    text = text.strip()
    if re.fullmatch(r"[+-]?\d+", text):
        index = int(text)
        if not 0 <= index < num_classes:
            raise ValueError(f"label: expected 0 to {num_classes - 1}, got {index}")
        return index
    if not names:
        raise ValueError(f"label: this model has no class names, got {text!r}")
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        for synonym in {name, *name.split(",")}:
            by_name.setdefault(_plain(synonym), []).append(index)
    matches = by_name.get(_plain(text), [])
    if len(matches) > 1:
        listed = " or ".join(str(i) for i in matches)
        raise ValueError(
            f"label: {len(matches)} classes are called {text!r}, say {listed}"
        )
    if not matches:
        raise ValueError(f"label: no class is called {text!r}{_hint(text, by_name)}")
    return matches[0]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _hint(text: str, by_name: dict[str, list[int]]) -> str:
    text = _plain(text)
    within = [name for name in by_name if text and text in name]
    near = difflib.get_close_matches(text, by_name, n=3)
    found = list(dict.fromkeys(within[:3] + near))[:4]
    shown = (f"{name} ({by_name[name][0]})" for name in found)
    return f"; did you mean {' or '.join(shown)}?" if found else ""
