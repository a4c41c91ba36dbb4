"""How what is wrong is worded: the argument, what was expected, what came."""

from __future__ import annotations


def describe(value: object) -> str:
    """What came, in a few words: dtype and shape of an array, repr of the rest."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def fail(argument: str, expected: str, got: object) -> ValueError:
    """The error to raise."""
    return ValueError(f"{argument}: expected {expected}, got {describe(got)}")
