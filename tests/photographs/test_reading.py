"""Files of every kind, made here and read back; broken ones refused by name."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image

from jaxattr.photographs.reading import (
    list_photographs,
    read_photograph,
    unread_files,
)


def gradient(height=12, width=20):
    """An RGB image whose four corners differ."""
    rows = np.linspace(0, 255, height)[:, None]
    columns = np.linspace(0, 255, width)[None, :]
    red, green = np.broadcast_arrays(rows, columns)
    return np.stack([red, green, np.full_like(red, 40)], axis=-1).astype(np.uint8)


def read(path):
    image = read_photograph(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_png_is_read_exactly(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), gradient())


def test_path_as_text(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    assert read(str(tmp_path / "a.png")).shape == (12, 20, 3)


def test_jpeg_is_read_closely(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", quality=98)
    difference = read(tmp_path / "a.jpg").astype(int) - gradient()
    assert np.abs(difference).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(tmp_path, orientation):
    upright = gradient()
    # How the sensor saw an upright scene, by the EXIF definition of each value.
    seen = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(seen)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), upright)


def test_greyscale_has_three_equal_channels(tmp_path):
    grey = gradient()[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), np.stack([grey] * 3, -1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_span_black_to_white(tmp_path, suffix):
    wide = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(
        read(tmp_path / f"a.{suffix}")[0, :, 0], [0, 100, 255]
    )


def test_thirty_two_bits_are_refused_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 1 << 20]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: .*no known white"):
        read_photograph(tmp_path / "a.tif")


def test_floating_point_is_refused(tmp_path):
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: .*no known white"):
        read_photograph(tmp_path / "a.tif")


def test_palette(tmp_path):
    Image.fromarray(gradient()).convert("P", palette=Image.Palette.ADAPTIVE).save(
        tmp_path / "a.gif"
    )
    difference = read(tmp_path / "a.gif").astype(int) - gradient()
    assert np.abs(difference).mean() < 10


def test_cmyk(tmp_path):
    Image.fromarray(gradient()).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    difference = read(tmp_path / "a.jpg").astype(int) - gradient()
    assert np.abs(difference).mean() < 5


def test_alpha_is_laid_on_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = [0, 128, 255]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[0, :, 0], [255, 127, 0])


def test_transparent_palette_entry_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(tmp_path / "a.png", transparency=0)
    pixels = read(tmp_path / "a.png")[0]
    np.testing.assert_array_equal(pixels, [[255, 255, 255], [200, 100, 50]])


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(tmp_path / "a.gif")[0, 0], [255, 0, 0])


def test_missing(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.jpg: no such file"):
        read_photograph(tmp_path / "nowhere.jpg")


def test_directory(tmp_path):
    with pytest.raises(ValueError, match="got a directory"):
        read_photograph(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"hello", "not an image")]
)
def test_not_an_image(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.jpg: .*{reason}"):
        read_photograph(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    broken = tmp_path / f"broken.{suffix}"
    broken.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="broken") as caught:
        read_photograph(broken)
    assert "\n" not in str(caught.value)


def test_flipped_bytes_never_raise_anything_else(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    refused = 0
    for position in range(8, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        (tmp_path / "damaged.png").write_bytes(damaged)
        try:
            read(tmp_path / "damaged.png")
        except ValueError:
            refused += 1
    assert refused > 10


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"jaxattr\[app\]"):
        read_photograph(tmp_path / "a.png")


def test_folder_lists_images_by_name(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "inner").mkdir()
    assert [p.name for p in list_photographs(tmp_path)] == ["a.jpg", "b.PNG"]


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="no image file"):
        list_photographs(tmp_path)
    with pytest.raises(ValueError, match="expected a folder"):
        list_photographs(tmp_path / "nowhere")


def tiff(values, *, bits, sample_format=1, white_is_zero=False):
    """A file of one row of greys, by the TIFF 6.0 specification."""
    data, width = values
    data += b"\0" * (len(data) % 2)
    tags = [
        (256, width),
        (257, 1),
        (258, bits),
        (259, 1),
        (262, int(not white_is_zero)),
    ]
    tags += [(273, 8), (277, 1), (278, 1), (279, len(data)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHIHH", t, 3, 1, v, 0) for t, v in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + bytes(4)


WIDE = (np.array([0, 25700, 65535], "<u2").tobytes(), 3)


@pytest.mark.parametrize(
    ("content", "greys"),
    [
        (tiff(WIDE, bits=16), [0, 100, 255]),
        (tiff(WIDE, bits=16, white_is_zero=True), [255, 155, 0]),
        # 0, 4095 and 2048 of 4095: three times 12 bits.
        (tiff((bytes([0x00, 0x0F, 0xFF, 0x80, 0x00]), 3), bits=12), [0, 255, 128]),
        (b"P5 3 1 4095\n" + np.array([0, 2048, 4095], ">u2").tobytes(), [0, 128, 255]),
    ],
    ids=["16", "16, white is zero", "12", "12, PGM"],
)
def test_greys_of_over_eight_bits(tmp_path, content, greys):
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0, :, 0], greys)


@pytest.mark.parametrize(
    "content",
    [
        tiff((np.array([0, 100, 255], "<u4").tobytes(), 3), bits=32),
        tiff((np.array([0, 100, 255], "<i2").tobytes(), 3), bits=16, sample_format=2),
        tiff((np.array([0, 100, 127], "i1").tobytes(), 3), bits=8, sample_format=2),
        b"Pf\n3 1\n-1.0\n" + np.array([0, 0.5, 1], "<f4").tobytes(),
    ],
    ids=["32", "signed 16", "signed 8", "float"],
)
def test_greys_without_a_known_white_are_refused(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.tif: .*no known white"):
        read_photograph(tmp_path / "a.tif")


def test_transparent_grey_of_sixteen_bits_is_white(tmp_path):
    wide = Image.fromarray(np.array([[0, 1000, 25700]], np.uint16))
    wide.save(tmp_path / "a.png", transparency=1000)
    np.testing.assert_array_equal(read(tmp_path / "a.png")[0, :, 0], [0, 255, 100])


def test_postscript_is_not_executed(tmp_path):
    (tmp_path / "a.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ValueError, match=r"a\.jpg: .*EPS is no photograph"):
        read_photograph(tmp_path / "a.jpg")


def test_hidden_files_and_other_kinds_are_no_photographs(tmp_path):
    names = (
        "a.jpg",
        "._a.jpg",
        ".trashed-d.jpg",
        "notes.pdf",
        "clip.mpg",
        "labels.csv",
        ".DS_Store",
        ".hidden.txt",
    )
    for name in names:
        (tmp_path / name).touch()
    assert [p.name for p in list_photographs(tmp_path)] == ["a.jpg"]
    assert [(unread.path.name, unread.reason) for unread in unread_files(tmp_path)] == [
        ("clip.mpg", "no photograph by its suffix"),
        ("notes.pdf", "no photograph by its suffix"),
        ("._a.jpg", "hidden"),
        (".trashed-d.jpg", "hidden"),
    ]
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ValueError, match="no image file .*, only clip.mpg, notes.pdf"):
        list_photographs(tmp_path)
