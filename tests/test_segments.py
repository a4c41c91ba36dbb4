"""Segments: grids, superpixels, sums over them, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import jaxattr as ja
from jaxattr import segments as segments_module


@pytest.mark.parametrize("size", [(6, 5, 2, 3), (7, 4, 7, 1), (224, 224, 7, 7)])
def test_a_grid_has_even_rectangles_row_by_row(size):
    height, width, rows, columns = size
    ids = np.asarray(ja.segments.grid(*size))
    assert ids.shape == (height, width)
    np.testing.assert_array_equal(np.unique(ids), np.arange(rows * columns))
    for number in range(rows * columns):
        i, j = np.nonzero(ids == number)
        sides = np.ptp(i) + 1, np.ptp(j) + 1
        assert len(i) == sides[0] * sides[1], "a rectangle"
        assert abs(sides[0] - height / rows) < 1
        assert abs(sides[1] - width / columns) < 1
    assert (np.diff(ids, axis=0) >= 0).all()


def test_slic_follows_colours_without_gaps():
    images = np.zeros((2, 12, 10, 3), np.float32)
    images[0, :, 5:] = [1.0, 0.2, 0.0]
    images[1, 6:] = [0.0, 0.2, 1.0]
    ids = np.asarray(ja.segments.slic(jnp.asarray(images), 4, compactness=0.1))
    assert ids.shape == (2, 12, 10)
    for image, found in zip(images, ids):
        number = found.max() + 1
        np.testing.assert_array_equal(np.unique(found), np.arange(number))
        for segment in range(number):
            assert len(np.unique(image[found == segment], axis=0)) == 1
    with pytest.raises(ValueError, match="images: .*not traced"):
        jax.jit(lambda x: ja.segments.slic(x, 4))(images)


def test_slic_without_scikit_image_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxattr\[segments\]'"):
        ja.segments.slic(jnp.zeros((1, 4, 4, 3)), 2)


def test_sums_undo_spread_and_count_pixels():
    ids = np.array([[[0, 0, 1], [2, 2, 1]], [[1, 1, 1], [0, 0, 0]]])
    values = jnp.array([[1.0, -2.0, 3.0], [4.0, 5.0, 0.0]])
    maps = segments_module.spread(values, jnp.asarray(ids), 2)
    assert maps.shape == (2, 2, 3, 2)
    np.testing.assert_allclose(maps[0, 0, 0], 1 / 4)
    np.testing.assert_allclose(maps[1, 0, 0], 5 / 6)
    np.testing.assert_allclose(ja.segments.sums(maps, ids), values, rtol=1e-6)


GAP = np.array([[0, 0, 3], [1, 1, 3]])
BAD = [
    ({"segments": np.zeros((3, 6, 4), int)}, r"segments: .*\(3, 6, 5\) or \(6, 5\)"),
    ({"segments": np.zeros((6, 5))}, "segments: expected integers .* got float(64|32)"),
    ({"segments": "slic"}, "segments: expected integers .* got 'slic'"),
    ({"segments": (7, 2)}, "rows: expected at most 6"),
    ({"segments": (2, 0)}, "segments: expected an integer of at least 1, got 0"),
    ({"segments": 2 * np.eye(6, 5, dtype=int)}, "got 2 in the place of 1 in image 0"),
    ({"segments": np.eye(6, 5, dtype=int) - 1}, "got -1 in the place of 0"),
    ({"num_segments": 3}, "num_segments: expected at least 4"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_segments(change, message):
    given = {"segments": (2, 2)} | change
    with pytest.raises(ValueError, match=message):
        ja.segments.sums(toys.images(), **given)
    with pytest.raises(ValueError, match=message):
        ja.kernel_shap(
            toys.linear()[0],
            toys.images(),
            toys.labels(),
            key=jax.random.key(0),
            **given,
        )


def test_a_gap_in_one_image_of_several():
    ids = np.zeros((3, 6, 5), int)
    ids[1, 0] = 2
    with pytest.raises(ValueError, match="got 2 in the place of 1 in image 1"):
        ja.segments.sums(toys.images(), ids)


def test_traced_segments_need_their_number():
    images = toys.images()
    with pytest.raises(ValueError, match="num_segments: expected the most segments"):
        jax.jit(lambda s: ja.segments.sums(images, s))(ja.segments.grid(6, 5, 2, 2))
    inside = lambda x: ja.segments.sums(x, ja.segments.grid(6, 5, 2, 2))
    assert jax.jit(inside)(images).shape == (3, 4)
