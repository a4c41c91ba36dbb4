"""A folder of results belongs to the settings that made them: ``settings.json``."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping

from jaxattr.evaluation.runs.files import atomic_write

UNKNOWN = "cannot be read"
"""A setting that is not known yet: it differs from nothing, and is filled in once it is
known."""


def claim(folder: pathlib.Path, settings: Mapping[str, object]) -> None:
    """Writes ``settings.json``, or sees that it holds these settings.

    What was ``UNKNOWN`` there and is known now is added.

    Args:
      folder: of results.
      settings: what decides them, as JSON takes it.

    Raises:
      ValueError: the folder has results of other settings; the message names the first
        that differs.
      OSError: it cannot be written.
    """
    path = folder / "settings.json"
    there, now = None, json.loads(json.dumps(dict(settings)))
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(there, dict):
            raise ValueError(f"expected an object, got {json.dumps(there)[:20]}")
    except FileNotFoundError:
        known = now
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    else:
        difference = _difference(there, now)
        if difference:
            raise ValueError(
                f"{folder}: has results of other settings, {difference}; choose "
                "another folder, or the settings of then"
            )
        known = _completed(there, now)
    if known != there:
        with atomic_write(path) as file:
            file.write(json.dumps(known, indent=1).encode())


def _completed(there: object, now: object) -> object:
    """Settings that do not differ, with what either of them knows."""
    if isinstance(there, dict) and isinstance(now, dict):
        return {key: _completed(value, now[key]) for key, value in there.items()}
    return now if there == UNKNOWN else there


def _difference(there: object, now: object, name: str = "") -> str:
    """The first setting that is not the same, and both values; else nothing."""
    if isinstance(there, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*there, *now]):
            inner = f"{name}.{key}" if name else key
            found = _difference(there.get(key), now.get(key), inner)
            if found:
                return found
        return ""
    if there == now or UNKNOWN in (there, now):
        return ""
    return f"{name}: {_short(there)} there, {_short(now)} now"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "asked for"
    text = "not asked for" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
