"""The npz reader."""

import io
import zipfile

import ml_dtypes
import numpy as np
import pytest

from jaxattr.checkpoints.reading import read_checkpoint


def test_npz(tmp_path):
    path = tmp_path / "w.npz"
    expected = {"a.weight": np.ones((2, 3), np.float16), "b": np.arange(3)}
    np.savez_compressed(path, **expected)
    got = read_checkpoint(path)
    assert got.keys() == expected.keys()
    np.testing.assert_array_equal(got["a.weight"], expected["a.weight"])
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^weights: .*w\.npz: "):
            read_checkpoint(path)
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(ValueError, match=r"w\.npz: .*allow_pickle"):
        read_checkpoint(path)


def test_npz_bomb(tmp_path, monkeypatch):
    path = tmp_path / "w.npz"
    np.savez_compressed(path, a=np.zeros(1 << 22, np.int8))
    monkeypatch.setattr("jaxattr.checkpoints.npz_file.MAX_INFLATION", 1 << 20)
    with pytest.raises(ValueError, match="would inflate to 4194"):
        read_checkpoint(path)


def test_bfloat16_which_numpy_writes_without_a_type(tmp_path):
    path = tmp_path / "w.npz"
    numbers = np.array([[1, -2.5], [3.25, 0]], ml_dtypes.bfloat16)
    np.savez(path, w=numbers, big=np.array([1.5, 2], ">f4"))
    got = read_checkpoint(path)
    assert got["w"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(got["w"], numbers)
    assert got["big"].dtype.isnative
    np.testing.assert_array_equal(got["big"], [1.5, 2])


@pytest.mark.parametrize(
    "values",
    [
        np.ones(2, ml_dtypes.float8_e4m3fn),
        np.array(["a"]),
        np.ones(2, np.complex64),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, "M8[s]"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_what_holds_no_numbers_is_refused_with_a_remedy(tmp_path, values):
    np.savez(tmp_path / "w.npz", w=values)
    with pytest.raises(ValueError, match=r"w\.npz: w: holds no numbers .*float32"):
        read_checkpoint(tmp_path / "w.npz")


def test_a_header_that_promises_more_than_there_is(tmp_path):
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("w.npy", stream.getvalue())
    with pytest.raises(ValueError, match=r"w: float32\[1099511627776\] takes"):
        read_checkpoint(tmp_path / "w.npz")


def test_an_archive_behind_other_content_is_refused_as_numpy_does(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, a=np.ones(2))
    path.write_bytes(b"PKZ\x9c" + path.read_bytes())
    with pytest.raises(ValueError, match="pickled"):
        np.load(path, allow_pickle=False)
    with pytest.raises(ValueError, match=r"w\.npz: .*does not begin as one"):
        read_checkpoint(path)
