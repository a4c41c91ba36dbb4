"""Windows on maps against loops over their pixels."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxattr._numerics import windows

H, W, WINDOW = 5, 7, 1
MAPS = np.random.default_rng(0).normal(size=(2, H, W)).astype(np.float32)


def members(row, column, flat):
    """The pixels of a window, as it is cut at the border or spills over rows."""
    reach = range(-WINDOW, WINDOW + 1)
    if flat:
        places = [row * W + column + r * W + c for r in reach for c in reach]
        return [divmod(p, W) for p in places if 0 <= p < H * W]
    pixels = [(row + r, column + c) for r in reach for c in reach]
    return [(r, c) for r, c in pixels if 0 <= r < H and 0 <= c < W]


def over_windows(function, maps, flat=False):
    return np.array(
        [
            [
                [function([one[p] for p in members(r, c, flat)]) for c in range(W)]
                for r in range(H)
            ]
            for one in maps
        ]
    )


@pytest.mark.parametrize("flat", [False, True])
def test_dilate(flat):
    masks = MAPS > 1
    assert masks.any()
    expected = over_windows(any, masks, flat)
    np.testing.assert_array_equal(
        windows.dilate(jnp.asarray(masks), WINDOW, flat=flat), expected
    )


def test_mean_and_maximum():
    maps = jnp.asarray(MAPS)
    mean = over_windows(np.mean, MAPS)
    np.testing.assert_allclose(windows.mean(maps, WINDOW), mean, atol=1e-6)
    total = over_windows(np.sum, MAPS) / (2 * WINDOW + 1) ** 2
    got = windows.mean(maps, WINDOW, pad="zero")
    np.testing.assert_allclose(got, total, atol=1e-6)
    largest = over_windows(np.max, MAPS)
    np.testing.assert_array_equal(windows.maximum(maps, WINDOW), largest)


@pytest.mark.parametrize("flat", [False, True])
def test_greedy_distant_set(flat):
    candidates = MAPS > -0.5
    k = 12  # more than there is room for
    places = windows.greedy_distant_set(
        jnp.asarray(MAPS), k, WINDOW, candidates=jnp.asarray(candidates), flat=flat
    )
    for values, allowed, got in zip(MAPS, candidates, places, strict=True):
        left, expected = np.where(allowed, values, -np.inf), []
        for _ in range(k):
            place = int(left.argmax())
            taken = left.reshape(-1)[place] > -np.inf
            expected.append(place if taken else H * W)
            if taken:
                for pixel in members(*divmod(place, W), flat):
                    left[pixel] = -np.inf
        assert expected[-1] == H * W
        np.testing.assert_array_equal(got, expected)
