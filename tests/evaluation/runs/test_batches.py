"""Sets cut by the places of images: the same batches whoever computes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr.evaluation.runs.batches import batches, blocks, chunks
from jaxattr.evaluation.runs.shards import WHOLE, Shard, parse_shard


def test_an_image_has_its_row_and_key_whatever_else_is_there():
    key = jax.random.key(3)
    places = np.array([0, 1, 2, 5, 6, 9])
    whole = jax.random.key_data(
        jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(10))
    )
    for index in (np.arange(6), np.array([1, 3]), np.array([5])):
        seen = []
        for batch in batches(index, places, 3):
            filled = batch.filled(batch.places)
            assert filled.shape == (3,)
            np.testing.assert_array_equal(filled[batch.rows], batch.places)
            np.testing.assert_array_equal(batch.rows, batch.places % 3)
            np.testing.assert_array_equal(
                jax.random.key_data(batch.keys(key)), whole[filled]
            )
            seen += batch.index.tolist()
        assert seen == index.tolist()


def test_a_batch_without_an_image():
    (batch,) = batches(np.arange(3), np.arange(3), 4)
    left = batch.without(np.array([True, False, False]))
    np.testing.assert_array_equal(left.filled(left.places), [1, 1, 2, 1])


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [2, 3])
def test_shares_are_disjoint_complete_and_of_whole_batches(count, size):
    places = np.delete(np.arange(23), [4, 20])
    shares = [
        [chunk.tolist() for chunk in chunks(places, size, 8, Shard(i, count))]
        for i in range(count)
    ]
    every = [chunk for share in shares for chunk in share]
    assert sorted(i for chunk in every for i in chunk) == list(range(21))
    for chunk in every:
        assert len(chunk) <= 9
        others = set(places) - set(places[chunk])
        assert not {p // size for p in places[chunk]} & {p // size for p in others}
    assert min(map(len, shares)) > 0 or count == 8


def test_nothing_is_no_chunk():
    assert not [*chunks(np.zeros(0, int), 2, 8, WHOLE)]
    assert not [*blocks(np.zeros(0, int))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3/3", "shards count from 0, the last of 3 is 2/3, got '3/3'"),
        ("0/0", "N is 0"),
        ("-1/2", "expected I/N"),
        ("1", "expected I/N, such as 0/4, or auto"),
    ],
)
def test_bad_shards(text, message):
    with pytest.raises(ValueError, match=message):
        parse_shard(text)
