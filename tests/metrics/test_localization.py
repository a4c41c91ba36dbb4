"""The four localisation metrics: by hand, against loops, and their edge cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxattr as ja

localization = jax.jit(ja.localization, static_argnames="concentration_region")


def reference(values, mask, region):
    height, width = values.shape
    is_positive = values > 0
    inside = values[is_positive & mask].sum()
    loc = (is_positive & mask).sum() / (mask.sum() + (is_positive & ~mask).sum())
    energy = inside / values[is_positive].sum()
    share = inside / np.abs(values[mask]).sum()
    counted = is_positive if region == "image" else is_positive & mask
    mass = np.where(counted, values, 0) / values[counted].sum()
    pixels = [
        ((j + 0.5) / width, (i + 0.5) / height, mass[i, j])
        for i in range(height)
        for j in range(width)
    ]
    x, y = (sum(p[axis] * p[2] for p in pixels) for axis in (0, 1))
    floor = 0.5 / max(height, width)
    concentration = sum(
        m / max(np.hypot(a - x, b - y), floor) for a, b, m in pixels if m
    )
    return loc, energy, share, concentration


@pytest.mark.parametrize("region", ["image", "box"])
def test_against_a_loop(region):
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(5, 7, 9)).astype(np.float32)
    boxes = np.array(
        [[0, 0, 9, 7], [2, 1, 5, 6], [0, 3, 1, 4], [3, 0, 9, 2], [1, 1, 8, 5]]
    )
    found = localization(
        jnp.asarray(maps), jnp.asarray(boxes), concentration_region=region
    )
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        mask = np.zeros((7, 9), bool)
        mask[y0:y1, x0:x1] = True
        if region == "box" and not (maps[i][mask] > 0).any():
            continue
        expected = reference(maps[i].astype(float), mask, region)
        np.testing.assert_allclose([v[i] for v in found], expected, rtol=1e-4)
        as_mask = localization(
            jnp.asarray(maps[i : i + 1]),
            jnp.asarray(mask[None]),
            concentration_region=region,
        )
        np.testing.assert_array_equal([v[0] for v in as_mask], [v[i] for v in found])


def test_by_hand():
    maps = jnp.array([[[4.0, -2.0, 1.0], [0.0, 3.0, -1.0]]])
    found = ja.localization(maps, jnp.array([[0, 0, 2, 2]]))
    # Positive: 4, 1, 3; the box holds 4, -2, 0, 3; outside one positive pixel.
    np.testing.assert_allclose(found.loc, [2 / (4 + 1)])
    np.testing.assert_allclose(found.energy_game, [7 / 8])
    np.testing.assert_allclose(found.positive_percentage, [7 / 9])


@pytest.mark.slow
def test_one_pixel_is_half_a_pixel_away_from_itself():
    maps = jnp.zeros((1, 8, 8)).at[0, 3, 5].set(2.0)
    found = ja.localization(maps, jnp.array([[0, 0, 8, 8]]))
    np.testing.assert_allclose(found.concentration, [16.0])


@pytest.mark.slow
def test_random_signs_give_what_chance_gives():
    """Loc = b / (1 + b), EG = b, PP = 1/2 for a box of area fraction b."""
    maps = np.random.default_rng(2).choice([-1.0, 1.0], (400, 32, 32))
    boxes = np.broadcast_to([4, 8, 28, 24], (400, 4))
    b = 24 * 16 / 32**2
    found = ja.localization(jnp.asarray(maps, jnp.float32), jnp.asarray(boxes))
    np.testing.assert_allclose(
        [np.mean(v) for v in found[:3]], [b / (1 + b), b, 0.5], atol=0.003
    )


def test_a_flat_map_in_unit_coordinates():
    """4 ln(1 + √2) = 3.525 in the limit, 3.518 on a grid of 224; over √b in a box."""
    flat = jnp.ones((1, 224, 224))
    box = jnp.array([[56, 56, 168, 168]])
    found = ja.localization(flat, box)
    np.testing.assert_allclose(found.concentration, [3.518], atol=5e-4)
    inner = ja.localization(flat, box, concentration_region="box")
    np.testing.assert_allclose(inner.concentration, [3.525 / 0.5], rtol=5e-3)


def test_edge_cases_have_defined_values():
    negative, positive = -jnp.ones((1, 4, 4)), jnp.ones((1, 4, 4))
    box = jnp.array([[1, 1, 3, 3]])
    assert float(ja.localization(negative, box).loc[0]) == 0
    assert float(ja.localization(negative, box).positive_percentage[0]) == 0
    assert np.isnan(ja.localization(negative, box).energy_game[0])
    assert np.isnan(ja.localization(negative, box).concentration[0])
    zeros = ja.localization(0 * positive, box)
    assert float(zeros.loc[0]) == 0
    assert np.isnan([zeros.energy_game[0], zeros.positive_percentage[0]]).all()
    for nowhere in ([6, 6, 9, 9], [3, 1, 1, 3], [1, 3, 3, 1], [1, 1, np.nan, 3]):
        outside = ja.localization(positive, jnp.array([nowhere]))
        assert np.isnan([v[0] for v in outside[:3]]).all()
        assert np.isfinite(outside.concentration[0])
    # What lies outside the image is cut off.
    beyond = ja.localization(positive, jnp.array([[-5, 2, 99, 99]]))
    inside = ja.localization(positive, jnp.array([[0, 2, 4, 4]]))
    np.testing.assert_array_equal(beyond, inside)
    holed = positive.at[0, 0, 0].set(jnp.nan)
    assert np.isnan([v[0] for v in ja.localization(holed, box)]).all()


def test_boxes_between_pixels_hold_the_centres():
    maps = jnp.ones((1, 4, 4))
    found = ja.localization(maps, jnp.array([[0.6, 0.4, 2.4, 2.5]]))
    # Columns 1 alone of 1.5; rows 0.5 and 1.5.
    np.testing.assert_allclose(found.energy_game, [2 / 16])


@pytest.mark.parametrize(
    ("maps", "boxes", "message"),
    [
        (np.zeros((2, 3, 3, 1), np.float32), np.zeros((2, 4)), "maps: expected"),
        (np.zeros((2, 3, 3), int), np.zeros((2, 4)), "maps: expected"),
        (np.ones((2, 3, 3), np.float32), np.zeros((3, 4)), r"boxes: .*\(2, 4\)"),
        (np.ones((2, 3, 3), np.float32), np.zeros((2, 3, 3)), "boxes: .* bool masks"),
        (np.ones((2, 3, 3), np.float32), np.zeros((2, 4), bool), "boxes: expected"),
    ],
)
def test_misuse(maps, boxes, message):
    with pytest.raises(ValueError, match=message):
        ja.localization(maps, boxes)


def test_unknown_region():
    with pytest.raises(ValueError, match="concentration_region: unknown 'boxes'"):
        ja.localization(
            jnp.ones((1, 2, 2)), jnp.ones((1, 4)), concentration_region="boxes"
        )
