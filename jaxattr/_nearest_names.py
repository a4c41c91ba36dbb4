"""Which names may be meant by one that is unknown."""

from __future__ import annotations

import difflib


def nearest(text: str, known: list[str]) -> list[str]:
    """Up to three names that may be meant: alike, or of which it is a part or initials."""
    short = _letters(text)
    initials = lambda name: "".join(word[0] for word in name.split("_") if word)
    if len(short) < 2:
        return []
    same = [name for name in known if short in (_letters(name), initials(name))]
    if same:
        return same[:3]
    likely = [n for n in known if _letters(n).startswith(short)]
    likely += difflib.get_close_matches(text, known, n=3)
    likely += [n for n in known if len(short) > 2 and short in _letters(n)]
    return list(dict.fromkeys(likely))[:3]


def _letters(text: str) -> str:
    """Letters and digits in lower case.

    >>> _letters("Grad-CAM++")
    'gradcam'
    """
    return "".join(c for c in text.lower() if c.isalnum())
