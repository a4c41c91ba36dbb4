"""Every reader of weights on damaged files: tensors or a ValueError, nothing else."""

import io
import json
import zipfile

import mutations
import numpy as np
import pytest

from jaxattr.checkpoints.reading import read_checkpoint

ARRAYS = {"a.weight": np.ones((2, 3), np.float32), "b": np.arange(4, dtype=np.float32)}


def zip_layout(craft, path):
    state = craft.state_dict(ARRAYS, legacy=False)
    path.write_bytes(craft.zip_file(state, craft.raw_storages(ARRAYS)))


def legacy_layout(craft, path):
    state = craft.state_dict(ARRAYS, legacy=True)
    path.write_bytes(craft.legacy_file(state, craft.raw_storages(ARRAYS)))


def safetensors(craft, path):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in ARRAYS.items():
        span = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": span}
        body += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def npz(craft, path):
    np.savez(path, **ARRAYS)


def compressed_npz(craft, path):
    np.savez_compressed(path, **ARRAYS)


@pytest.mark.parametrize(
    ("write", "suffix"),
    [
        (zip_layout, ".pt"),
        (legacy_layout, ".pth"),
        (safetensors, ".safetensors"),
        (npz, ".npz"),
        (compressed_npz, ".npz"),
    ],
)
def test_a_damaged_file_of_weights_is_read_or_refused(craft, tmp_path, write, suffix):
    path = tmp_path / f"weights{suffix}"
    write(craft, path)
    size = lambda tensors: sum(tensor.nbytes for tensor in tensors.values())
    mutations.check_reader(read_checkpoint, path, size, most=4096)


def pickle_of_torch(craft, path):
    path.write_bytes(craft.pickled(craft.state_dict(ARRAYS, legacy=False)))
    storages = {
        f"archive/data/{k}": raw for k, raw in craft.raw_storages(ARRAYS).items()
    }
    return lambda data: archive({"archive/data.pkl": data, **storages})


def array_of_npz(craft, path):
    with path.open("wb") as file:
        np.save(file, ARRAYS["b"])
    return lambda data: archive({"b.npy": data})


def archive(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("write", "suffix"), [(pickle_of_torch, ".pt"), (array_of_npz, ".npz")]
)
def test_a_damaged_member_of_an_archive_is_read_or_refused(
    craft, tmp_path, write, suffix
):
    """Checksums of the archive hide most damage from what reads its members."""
    path = tmp_path / f"weights{suffix}"
    as_file = write(craft, path)
    size = lambda tensors: sum(tensor.nbytes for tensor in tensors.values())
    mutations.check_reader(read_checkpoint, path, size, most=4096, as_file=as_file)
