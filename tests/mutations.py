"""Bytes of a valid file, damaged: what a reader may meet, and how it must answer."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

# Reading a small file costs far less than a call of a compiled function.
many = settings(max_examples=8 * settings().max_examples)


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """One to three of: a byte is another, a piece is cut out, bytes are put in."""
    places = st.integers(0, len(data) - 1)
    flips = st.tuples(st.just("flip"), places, st.integers(1, 255))
    cuts = st.tuples(st.just("cut"), places, st.integers(1, len(data)))
    inserts = st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=9))
    edits = st.lists(st.one_of(flips, cuts, inserts), min_size=1, max_size=3)
    return edits.map(lambda edits: _apply(data, edits))


def _apply(data: bytes, edits: list[tuple[str, int, Any]]) -> bytes:
    for kind, place, what in edits:
        place = min(place, max(len(data) - 1, 0))
        if kind == "insert":
            data = data[:place] + what + data[place:]
        elif kind == "cut":
            data = data[:place] + data[place + what :]
        elif data:
            data = data[:place] + bytes([data[place] ^ what]) + data[place + 1 :]
    return data


def check_reader(
    read: Callable[[Any], Any], path: Any, size: Callable[[Any], int], most: int
) -> None:
    """``read(path)`` gives at most so much, or a ``ValueError`` that names the file."""
    whole = path.read_bytes()
    outcomes = set()

    @many
    @given(mutated(whole))
    def check(data):
        path.write_bytes(data)
        try:
            found = read(path)
        except ValueError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            outcomes.add("refused")
        else:
            assert size(found) <= most
            outcomes.add("read")

    assert size(read(path)) > 0
    check()
    # The damage is neither always seen at once nor never.
    assert "refused" in outcomes
