"""The pointing game by hand, and its tolerance against distances."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxattr as ja

MAPS = np.random.default_rng(0).normal(size=(6, 9, 8)).astype(np.float32)


def test_boxes_and_masks_against_argmax():
    boxes = np.array(
        [[0, 0, 4, 9], [4, 0, 8, 9], [0, 0, 8, 4], [0, 4, 8, 9]] + [[2, 2, 7, 8]] * 2
    )
    masks = np.zeros(MAPS.shape, bool)
    expected = []
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        masks[i, y0:y1, x0:x1] = True
        y, x = np.unravel_index(MAPS[i].argmax(), MAPS[i].shape)
        expected.append(x0 <= x < x1 and y0 <= y < y1)
    assert 0 < np.mean(expected) < 1
    np.testing.assert_array_equal(ja.pointing_game(MAPS, boxes), expected)
    np.testing.assert_array_equal(ja.pointing_game(MAPS, jnp.asarray(masks)), expected)


@pytest.mark.parametrize("tolerance", [1, 3])
def test_tolerance_is_a_straight_distance(tolerance):
    mask = np.zeros((9, 8), bool)
    mask[4, 3] = True
    places = [(y, x) for y in range(9) for x in range(8)]
    maps = np.zeros((72, 9, 8), np.float32)
    maps[np.arange(72), [y for y, _ in places], [x for _, x in places]] = 1
    masks = jnp.asarray(np.broadcast_to(mask, maps.shape))
    found = ja.pointing_game(maps, masks, tolerance=tolerance)
    expected = [np.hypot(y - 4, x - 3) <= tolerance for y, x in places]
    np.testing.assert_array_equal(found, expected)


def test_ties_nothing_and_nan():
    maps = np.zeros((3, 2, 4), np.float32)
    maps[2, 0, 0] = np.nan
    boxes = np.array([[0, 0, 1, 2], [9, 9, 9, 9], [0, 0, 4, 2]])
    found = ja.pointing_game(maps, boxes)
    assert found[0] == 0.25  # a flat map finds what chance does
    assert np.isnan(found[1:]).all()
    with pytest.raises(ValueError, match=r"boxes: .*\(3, 4\)"):
        ja.pointing_game(maps, boxes[:2])
    with pytest.raises(ValueError, match="tolerance: .*at least 0"):
        ja.pointing_game(maps, boxes, tolerance=-1)
