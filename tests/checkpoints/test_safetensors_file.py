"""The safetensors and npz readers."""

import json
import struct

import numpy as np
import pytest

from jaxattr.checkpoints.reading import read_checkpoint


def safetensors(header, body=b"", length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_reads_what_the_library_writes(arrays, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "w.safetensors"
    numpy.save_file(arrays, path, metadata={"format": "pt"})
    got = read_checkpoint(path)
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)
        got[name][...] = 0  # an array of its own


BODY = np.array([1, 2], np.float32).tobytes()


def test_by_hand_every_truncation(tmp_path):
    path = tmp_path / "w.safetensors"
    whole = safetensors({"module.w": entry()}, BODY)
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_checkpoint(path)["w"], [1, 2])
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^weights: .*w\.safetensors: "):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (safetensors({"w": entry()}, BODY, length=1 << 62), "truncated"),
        (safetensors([1]), "not a JSON object"),
        (safetensors(b"{" * 9), "not JSON"),
        (safetensors(b"[" * 100_000), "not JSON"),
        (safetensors(b"\xff\xfe"), "not JSON"),
        (safetensors({"w": 3}), "w: no dtype"),
        (safetensors({"w": {"dtype": "F32"}}), "w: no dtype"),
        (safetensors({"w": entry("F8_E4M3")}, BODY), "w: unknown dtype"),
        (safetensors({"w": entry(["F32"])}, BODY), "w: unknown dtype"),
        (safetensors({"w": entry(shape=(3,))}, BODY), "w: .*12 bytes"),
        (safetensors({"w": entry(shape=(-2,))}, BODY), "w: bad shape"),
        (safetensors({"w": entry(shape=(2.0,))}, BODY), "w: bad shape"),
        (safetensors({"w": entry(shape=(True, 2))}, BODY), "w: bad shape"),
        (safetensors({"w": entry(shape=(1,) * 99 + (2,))}, BODY), "w: 100 dim"),
        (safetensors({"w": entry(shape=(1 << 62, 1 << 62))}, BODY), "w: .*too large"),
        (safetensors({"w": entry(offsets=(0, 99))}, BODY), "truncated"),
        (safetensors({"w": entry(offsets=(8, 0))}, BODY), "truncated"),
        (safetensors({"w": entry(offsets=(-8, 0))}, BODY), "bad data_offsets"),
        (safetensors({"w": entry(offsets=(0, 8, 8))}, BODY), "bad data_offsets"),
        (safetensors({"w": entry()}, BODY + b"x"), "belong to no tensor"),
        (safetensors({"w": entry(offsets=(1, 9))}, b"x" + BODY), "gap"),
        (safetensors({"v": entry(), "w": entry()}, BODY), "overlap"),
        (
            safetensors(b'{"w": %s, "w": 1}' % json.dumps(entry()).encode(), BODY),
            "twice",
        ),
        (safetensors({}), "holds no tensors"),
        # What follows the format's own reader refuses, too.
        (safetensors(json.dumps({"w": entry()}).encode("utf-16"), BODY), "not JSON"),
        (safetensors(json.dumps({"w": entry()}).encode("utf-16-le"), BODY), "not JSON"),
        (safetensors(json.dumps({"w": entry()}).encode("utf-32"), BODY), "not JSON"),
        (
            safetensors(b"\xef\xbb\xbf" + json.dumps({"w": entry()}).encode(), BODY),
            "not",
        ),
        (safetensors({"__metadata__": 5, "w": entry()}, BODY), "__metadata__"),
        (safetensors({"__metadata__": [], "w": entry()}, BODY), "__metadata__"),
        (safetensors({"__metadata__": {"a": 1}, "w": entry()}, BODY), "__metadata__"),
        (safetensors({"w": {**entry(), "x": float("nan")}}, BODY), "NaN"),
        (safetensors({"\ud800": entry()}, BODY), "Unicode"),
        (
            safetensors(
                json.dumps({"w": entry()}).encode().replace(b"[0,", b"[-0,"), BODY
            ),
            "-0",
        ),
        (
            safetensors({"z": entry(shape=(1 << 62, 1 << 62, 0), offsets=(0, 0))}),
            "too large",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_corrupt_headers(tmp_path, data, reason):
    path = tmp_path / "w.safetensors"
    if reason in ("-0", "NaN", "Unicode", "too large", "__metadata__", "not"):
        library = pytest.importorskip("safetensors")
        with pytest.raises(library.SafetensorError):
            library.deserialize(data)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"^weights: .*w\.safetensors: .*{reason}"):
        read_checkpoint(path)


def test_what_is_wrong_is_one_line_whatever_the_names_hold(tmp_path):
    header = json.dumps({"a\n  b\x1b[31m": {"dtype": "F33"}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match=r"w\.safetensors: a b\?\[31m: no dtype"):
        read_checkpoint(path)
