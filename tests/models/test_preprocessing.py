"""Photographs of every mode and shape become what a model takes."""

import builtins
import pathlib
import sys

import numpy as np
import pytest

from jaxattr.models.preprocessing import Preprocessing
from jaxattr.photographs.reading import read_photograph

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_pixel_goldens

Image = pytest.importorskip("PIL.Image")
CROP = Preprocessing((8, 8), short_side=10)
SQUASH = Preprocessing((8, 8))


@pytest.fixture
def photo():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(30, 40, 3), (40, 30, 3), (7, 5, 3), (1, 90, 3)])
def test_crop_keeps_proportions_and_takes_the_centre(shape):
    photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    got = CROP(photo)
    scale = 10 / min(shape[:2])
    height, width = (int(n * scale + 1e-9) for n in shape[:2])
    resized = Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC)
    top, left = round((height - 8) / 2), round((width - 8) / 2)
    expected = np.asarray(resized)[top : top + 8, left : left + 8] / np.float32(255)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


def test_squash(photo):
    expected = Image.fromarray(photo).resize((8, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(SQUASH(photo), np.asarray(expected) / np.float32(255))


def test_arrays_and_images_agree(photo):
    expected = CROP(Image.fromarray(photo))
    np.testing.assert_array_equal(CROP(photo), expected)
    np.testing.assert_array_equal(CROP(photo / 255), expected)
    np.testing.assert_array_equal(CROP((photo / 255).astype(np.float32)), expected)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "YCbCr", "HSV", "LAB", "CMYK"])
def test_modes(photo, mode):
    image = Image.fromarray(photo).convert(mode)
    np.testing.assert_array_equal(SQUASH(image), SQUASH(image.convert("RGB")))


def test_greys(photo):
    grey = photo[..., 0]
    expected = SQUASH(np.stack([grey] * 3, -1))
    for same in (
        grey,
        grey[..., None],
        Image.fromarray(grey),
        Image.fromarray(grey.astype(np.uint16) * 257),
        Image.fromarray(grey / np.float32(255)),
    ):
        np.testing.assert_array_equal(SQUASH(same), expected)


def test_alpha_is_composited_on_white(photo):
    alpha = np.zeros((30, 40, 1), np.uint8)
    np.testing.assert_array_equal(SQUASH(np.concatenate([photo, alpha], -1)), 1)
    np.testing.assert_array_equal(
        SQUASH(np.concatenate([photo, alpha + 255], -1)), SQUASH(photo)
    )
    half = np.concatenate([np.zeros_like(photo), alpha + 128], -1)
    np.testing.assert_allclose(SQUASH(half), 127 / 255, atol=0.005)
    grey = Image.merge("LA", [Image.new("L", (9, 9), 0), Image.new("L", (9, 9), 0)])
    np.testing.assert_array_equal(SQUASH(grey), 1)
    palette = Image.new("P", (9, 9), 0)
    palette.info["transparency"] = 0
    np.testing.assert_array_equal(SQUASH(palette), 1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "one pixel"),
        (np.zeros((8, 8, 3), np.int64), "uint8 or floats"),
        (np.full((8, 8, 3), 255.0), r"floats in \[0, 1\], got values from 255"),
        (np.full((8, 8, 3), np.nan), r"floats in \[0, 1\]"),
        ("photo.jpg", r"\(H, W, 3\)"),
        (Image.fromarray(np.full((8, 8), 255, np.float32)), r"floats in \[0, 1\]"),
        (None, r"\(H, W, 3\)"),
    ],
)
def test_bad_photographs(bad, reason):
    with pytest.raises(ValueError, match=f"^photo: expected.*{reason}"):
        SQUASH(bad)


def test_greys_of_thirty_two_bits_have_no_known_white():
    with pytest.raises(ValueError, match="^photo: 32-bit pixels have no known white"):
        SQUASH(Image.fromarray(np.full((8, 8), 255, np.int32)))


def test_the_long_side_is_cut_off_to_whole_pixels():
    """Torchvision's rule: 256 * 640 / 427 is 383.7; its centre crop begins at 80, 16."""
    photo = np.zeros((427, 640, 3), np.uint8)
    photo[:, 320:] = 255
    resized = Image.fromarray(photo).resize((383, 256), Image.Resampling.BILINEAR)
    expected = np.asarray(resized)[16:240, 80:304] / np.float32(255)
    got = Preprocessing((224, 224), 256, "bilinear")(photo)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("interpolation", make_pixel_goldens.INTERPOLATIONS)
@pytest.mark.parametrize("index", range(len(make_pixel_goldens.CASES)))
def test_pixels_are_those_of_torchvision_and_timm(index, interpolation):
    *_, size, short_side = make_pixel_goldens.CASES[index]
    prepare = Preprocessing((size, size), short_side or None, interpolation)
    with np.load(make_pixel_goldens.FILE) as goldens:
        expected = goldens[f"{index}.{interpolation}"]
    got = np.round(prepare(make_pixel_goldens.photograph(index)) * 255)
    np.testing.assert_array_equal(got.astype(np.uint8), expected)


def test_without_pillow(photo, monkeypatch):
    real = builtins.__import__

    def no_pillow(name, *args):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(ImportError, match=r"jaxattr\[app\]"):
        SQUASH(photo)


def _saved(folder, pixels):
    """Files of the kinds whose pixels are not what Pillow hands out at first."""
    rgb = Image.fromarray(pixels)
    for orientation in (1, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb.save(folder / f"{orientation}.jpg", exif=exif)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    wide = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    wide.save(folder / "wide.png")
    wide.save(folder / "wide.tif")
    palette = rgb.convert("P")
    palette.save(folder / "palette.png", transparency=palette.getpixel((0, 0)))
    opacity = Image.fromarray(pixels[..., 1])
    Image.merge("LA", (rgb.convert("L"), opacity)).save(folder / "la.png")
    rgb.convert("1").save(folder / "black.gif")
    return sorted(folder.iterdir())


def test_a_file_an_image_and_an_array_are_one_photograph(photo, tmp_path):
    for path in _saved(tmp_path, photo):
        read = read_photograph(path)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(CROP(opened), CROP(read), err_msg=path.name)
        np.testing.assert_array_equal(CROP(np.asarray(read)), CROP(read))
    # Turned by a quarter: it is now 30 wide and 40 high.
    assert read_photograph(tmp_path / "6.jpg").size == (30, 40)
