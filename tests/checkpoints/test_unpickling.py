"""Pickles whose meaning is far larger than they are."""

import collections
import io
import pickle

import pytest

from jaxattr.checkpoints.errors import CheckpointError
from jaxattr.checkpoints.unpickling import load_pickle

# A tuple of twice the one before, so many times: to hash or to print it takes 2²² steps.
NESTED = b")" + b"2\x86" * 22


@pytest.mark.parametrize(
    "body",
    [
        b"}" + NESTED + b"K\x01s.",
        b"}(" + NESTED + b"K\x01u.",
        b"(" + NESTED + b"K\x01d.",
        b"\x8f(" + NESTED + b"\x90.",
        b"(" + NESTED + b"\x91.",
        b"ccollections\nOrderedDict\n]" + NESTED + b"K\x01\x86a\x85R.",
    ],
    ids=["one item", "items", "dict", "set", "frozenset", "OrderedDict"],
)
def test_keys_are_names(body):
    with pytest.raises(CheckpointError, match="refused: a key that is a tuple"):
        load_pickle(io.BytesIO(b"\x80\x04" + body))


def test_an_error_shows_the_beginning_of_what_is_wrong():
    with pytest.raises(CheckpointError, match="unknown storage") as error:
        load_pickle(io.BytesIO(b"\x80\x04" + NESTED + b"Q."))
    assert len(str(error.value)) < 160


def test_plain_data_is_read():
    data = collections.OrderedDict(a=[1, (2.5, None)], b={"c": {"d": {3}}}, e=b"f")
    assert load_pickle(io.BytesIO(pickle.dumps(data, 4))) == data
