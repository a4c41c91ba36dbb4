"""What reading an item came to: a value, or an error that is looked at in its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """A value, or an error."""

    value: Any = None
    error: Exception | None = None


def outcome_of(read: Callable[[Any], Any], item: Any) -> Outcome:
    """What ``read`` returns of an item, or raises."""
    try:
        return Outcome(read(item))
    except Exception as error:
        return Outcome(error=error)
