"""A folder of results belongs to the settings that made them: ``settings.json``.

It is written once, by the first of all processes that work on the folder, and never
changed: the others compare. Sections that ``may_grow`` (methods, models, ...) take more
entries, each a file of its own in ``settings/``, so that no process ever writes what
another may be reading, and two that add the same name with different meanings differ.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any, cast

from jaxattr.evaluation.runs.files import create, file_name

Settings = dict[str, Any]
"""As JSON has them."""


def claim(
    folder: pathlib.Path,
    settings: Mapping[str, object],
    *,
    may_grow: Collection[str] = (),
    apart: Collection[str] = (),
) -> None:
    """Writes ``settings.json``, or sees that it holds these settings.

    Args:
      folder: of results.
      settings: what decides them, as JSON takes it.
      may_grow: sections, mappings, that a call may have more or fewer entries of than
        calls before; an entry that was there before must be the same.

    Raises:
      ValueError: the folder has results of other settings; the message names the first
        that differs.
      OSError: it cannot be written.
    """
    now = cast(Settings, json.loads(json.dumps(dict(settings))))
    shown = {section: now[section] for section in now if section not in apart}
    made = create(folder / "settings.json", json.dumps(shown, indent=1).encode())
    if made and not apart:
        return
    there = read_settings(folder)
    missing = []
    for section in may_grow:
        known, asked = (cast(Settings, s.get(section, {})) for s in (there, now))
        missing += [(section, name) for name in asked if name not in known]
        shared = [name for name in asked if name in known]
        # What may not grow is compared first, it is what a reader looks for.
        there.pop(section, None)
        now.pop(section, None)
        there[section] = {name: known[name] for name in shared}
        now[section] = {name: asked[name] for name in shared}
    _compare(folder, there, now)
    if missing:
        (folder / "settings").mkdir(exist_ok=True)
    for section, name in missing:
        value = cast(Settings, settings[section])[name]
        entry = json.loads(json.dumps([section, name, value]))
        path = folder / "settings" / _entry_name(section, name)
        if not create(path, json.dumps(entry, indent=1).encode()):
            # Somebody else was first, since the settings were read.
            other = _read_entry(path)
            _compare(folder, {section: {name: other[2]}}, {section: {name: entry[2]}})


def read_settings(folder: pathlib.Path) -> Settings:
    """The settings of a folder of results, with all that was added.

    Raises:
      ValueError: no settings, or settings that cannot be read.
    """
    path = folder / "settings.json"
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(there, dict):
            raise ValueError(f"expected an object, got {json.dumps(there)[:20]}")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    for entry in sorted((folder / "settings").glob("*.json")):
        section, name, value = _read_entry(entry)
        there.setdefault(section, {}).setdefault(name, value)
    return cast(Settings, there)


def _entry_name(section: str, name: str) -> str:
    """Names that differ in a sign only have files that differ."""
    mark = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{section}-{file_name(name)[:80]}-{mark}.json"


def _read_entry(path: pathlib.Path) -> tuple[str, str, object]:
    try:
        section, name, value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    return section, name, value


def _compare(folder: pathlib.Path, there: object, now: object) -> None:
    difference = _difference(there, now)
    if difference:
        raise ValueError(
            f"{folder}: has results of other settings, {difference}; choose "
            "another folder, or the settings of then"
        )


def _difference(there: object, now: object, name: str = "") -> str:
    """The first setting that is not the same, and both values; else nothing."""
    if isinstance(there, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*there, *now]):
            inner = f"{name}.{key}" if name else key
            found = _difference(there.get(key), now.get(key), inner)
            if found:
                return found
        return ""
    if there == now:
        return ""
    return f"{name}: {_short(there)} there, {_short(now)} now"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "asked for"
    text = "not asked for" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
