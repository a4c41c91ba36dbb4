"""Files of torch.save, well-formed, cut, corrupt and hostile."""

import pathlib
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from quick import quick

from jaxattr.checkpoints.reading import read_checkpoint

LAYOUTS = ("legacy", "zip")


def write(craft, path, layout, value, arrays):
    storages = craft.raw_storages(arrays)
    if layout == "zip":
        path.write_bytes(craft.zip_file(value, storages))
    else:
        sizes = {str(i): a.itemsize for i, a in enumerate(arrays.values())}
        path.write_bytes(craft.legacy_file(value, storages, sizes))
    return path


def write_state(craft, path, layout, arrays, wrap=lambda state: state):
    state = craft.state_dict(arrays, legacy=layout == "legacy")
    return write(craft, path, layout, wrap(state), arrays)


def assert_same(got, expected):
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype, name
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_dtype(craft, arrays, tmp_path, layout):
    path = write_state(craft, tmp_path / "w.pth", layout, arrays)
    got = read_checkpoint(path)
    assert_same(got, arrays)
    got["scalar"][...] = 1  # an array of its own


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nest", ["state_dict", "model", "model_state_dict"])
def test_nested_and_prefixed(craft, tmp_path, layout, nest):
    arrays = {"module.a": np.ones(3, np.float32), "module.b": np.zeros(2, np.float32)}
    path = tmp_path / "w.pt"
    write_state(craft, path, layout, arrays, lambda s: {"epoch": 3, nest: s})
    expected = {k.removeprefix("module."): v for k, v in arrays.items()}
    assert_same(read_checkpoint(path), expected)


def test_ordered_dict_with_metadata_and_parameters(craft, tmp_path):
    ordered = craft.Global("collections", "OrderedDict")
    tensor = craft.tensor("0", "float32", 2, (2,))
    parameter = craft.Global("torch._utils", "_rebuild_parameter")
    item = craft.Call(parameter, (tensor, True, craft.Call(ordered, ())))
    body = craft.opcodes(craft.Call(ordered, ()))
    body += b"(" + craft.opcodes("w") + craft.opcodes(item) + b"u"
    body += craft.opcodes({"_metadata": {"version": 1}}) + b"b"
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("x/data/0", np.array([1, 2], np.float32).tobytes())
    assert_same(read_checkpoint(path), {"w": np.array([1, 2], np.float32)})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_of_one_storage(craft, tmp_path, layout):
    base = np.arange(12, dtype=np.float32)
    legacy = layout == "legacy"
    state = {
        "transposed": craft.tensor("0", "float32", 12, (4, 3), (1, 4), legacy=legacy),
        "tail": craft.tensor("0", "float32", 12, (2, 2), (2, 1), 8, legacy=legacy),
        "empty": craft.tensor("0", "float32", 12, (0, 5), legacy=legacy),
    }
    path = write(craft, tmp_path / "w.pth", layout, state, {"base": base})
    expected = {
        "transposed": base.reshape(3, 4).T,
        "tail": base[8:].reshape(2, 2),
        "empty": np.zeros((0, 5), np.float32),
    }
    assert_same(read_checkpoint(path), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "bad",
    [
        {"shape": (13,)},
        {"shape": (4, 4), "strides": (4, 1)},
        {"shape": (3,), "strides": (6,)},
        {"shape": (2,), "offset": 11},
        {"shape": (1,), "offset": 12},
        {"shape": (-1,), "strides": (1,)},
        {"shape": (2,), "strides": (-1,)},
        {"shape": (2,), "offset": -1},
        {"shape": (1 << 40, 1 << 40), "strides": (0, 0)},
        {"shape": (1 << 62, 4), "strides": (1, 1)},
        {"shape": (1 << 70,), "strides": (1,)},
        {"shape": (2,), "strides": (1 << 62,)},
        {"shape": (2, 2), "strides": (1,)},
        {"shape": ("2",), "strides": (1,)},
        {"shape": (1,) * 40},
        {"shape": 7, "strides": (1,)},
        {"shape": (True,), "strides": (1,)},
        {"shape": (1,), "numel": 1 << 61},
        {"shape": (1,), "numel": -4},
        {"shape": (1,), "numel": 13},
        {"shape": (1,), "numel": 11},
        {"shape": (1,), "storage": "UntypedStorage"},
        {"shape": (1,), "key": "7"},
    ],
    ids=str,
)
def test_tensors_that_lie(craft, tmp_path, layout, bad):
    options = {"key": "0", "dtype": "float32", "numel": 12} | bad
    state = {"w": craft.tensor(**options, legacy=layout == "legacy")}
    base = np.arange(12, dtype=np.float32)
    path = write(craft, tmp_path / "w.pth", layout, state, {"base": base})
    with pytest.raises(ValueError, match=r"^weights: .*w\.pth: "):
        read_checkpoint(path)


@pytest.mark.parametrize("layout", quick(LAYOUTS, "zip"))
def test_every_truncation(craft, tmp_path, layout):
    arrays = {"a.weight": np.ones((2, 2), np.float32), "b": np.ones(1, np.int64)}
    whole = write_state(craft, tmp_path / "w.pth", layout, arrays).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "w.pth").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^weights: .*w\.pth: "):
            read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("layout", quick(LAYOUTS, "zip"))
def test_flipped_bytes_raise_value_errors_or_nothing(craft, tmp_path, layout):
    arrays = {"a.weight": np.ones((2, 2), np.float32)}
    whole = write_state(craft, tmp_path / "w.pth", layout, arrays).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        (tmp_path / "w.pth").write_bytes(data)
        message = ""
        try:
            read_checkpoint(tmp_path / "w.pth")
        except ValueError as error:
            message = str(error)
        assert not message or message.startswith(f"weights: {tmp_path / 'w.pth'}: ")


HOSTILE = [
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("subprocess", "Popen"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch", "FloatStorage.__class__"),
    ("numpy", "load"),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", HOSTILE, ids=".".join)
def test_foreign_code_is_refused_and_not_run(craft, tmp_path, layout, name):
    canary = tmp_path / "canary"
    call = craft.Call(craft.Global(*name), (f"touch {canary}",))
    path = tmp_path / "w.pth"
    write_state(
        craft, path, layout, {"w": np.ones(1, np.float32)}, lambda s: {**s, "x": call}
    )
    with pytest.raises(ValueError, match=rf"w\.pth: refused.*{name[0]}\.{name[1]}"):
        read_checkpoint(path)
    assert not canary.exists()


def test_the_canary_would_sing(craft, tmp_path):
    import pickle

    canary = tmp_path / "canary"
    call = craft.Call(craft.Global("os", "system"), (f"touch {canary}",))
    pickle.loads(craft.pickled(call))
    assert canary.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"I1\n\x82\x01.",  # an extension
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # a name from the stack
        b"(S'ls'\nios\nsystem\n.",  # an instance
        b"]r\xff\xff\xff\x7f0.",  # a large memo
        b"\x80\x63.",  # a later protocol
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b".",  # a large bytearray
        b"\x8b\xff\xff\xff\xff.",  # a number of negative length
        b"0.",
        b"(" * 10000 + b".",
        b"X\x02\x00\x00\x00\xff\xfe.",
        b"h\x07.",
        b"}]]s.",
        b"cos\nsystem\n\x81.",
    ],
)
def test_odd_opcodes(craft, tmp_path, body):
    path = tmp_path / "w.pth"
    path.write_bytes(body)
    with pytest.raises(ValueError, match=r"^weights: .*w\.pth: "):
        read_checkpoint(path)
    whole = craft.legacy_file({}, {})
    path.write_bytes(whole.replace(craft.pickled({}), body))
    with pytest.raises(ValueError, match=r"^weights: .*w\.pth: "):
        read_checkpoint(path)


def test_a_build_opcode_changes_nothing_shared(craft, tmp_path):
    rebuild = craft.Global("torch._utils", "_rebuild_tensor_v2")
    defaults = craft.opcodes((None, {"__defaults__": ("x",)}))
    ordered = craft.Global("collections", "OrderedDict")
    path = tmp_path / "w.pth"
    for target in (rebuild, ordered, craft.Global("torch", "FloatStorage")):
        body = b"\x80\x02" + craft.opcodes(target) + defaults + b"b."
        path.write_bytes(craft.legacy_file(0, {}).replace(craft.pickled(0), body))
        with pytest.raises(ValueError, match=r"w\.pth: "):
            read_checkpoint(path)
    write_state(craft, path, "zip", {"w": np.ones(1, np.float32)})
    assert_same(read_checkpoint(path), {"w": np.ones(1, np.float32)})


def test_a_compressed_archive_is_refused(craft, tmp_path):
    state = {"w": craft.tensor("0", "float32", 1 << 20, (1 << 20,))}
    bomb = craft.zip_file(state, {"0": bytes(1 << 22)}, zipfile.ZIP_DEFLATED)
    (tmp_path / "w.pth").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"w\.pth: .*compressed"):
        read_checkpoint(tmp_path / "w.pth")


def test_no_tensors_no_dict_big_endian(craft, tmp_path):
    path = tmp_path / "w.pth"
    for value, reason in (({"epoch": 1}, "holds no tensors"), (3, "no state dict")):
        path.write_bytes(craft.zip_file(value, {}))
        with pytest.raises(ValueError, match=reason):
            read_checkpoint(path)
    data = craft.zip_file({}, {})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", craft.pickled({}))
        archive.writestr("a/byteorder", b"big")
    with pytest.raises(ValueError, match="big-endian"):
        read_checkpoint(path)
    path.write_bytes(data.replace(b"PK\x03\x04", b"PKPK", 1))
    with pytest.raises(ValueError, match=r"w\.pth"):
        read_checkpoint(path)


@pytest.mark.parametrize("new", [False, True])
def test_against_torch(arrays, tmp_path, new):
    torch = pytest.importorskip("torch")
    values = {n: a for n, a in arrays.items() if "bfloat16" not in n}
    state = {n: torch.from_numpy(a.copy()) for n, a in values.items()}
    state["half"] = torch.arange(4).to(torch.bfloat16)
    state["parameter"] = torch.nn.Parameter(torch.ones(2, 2).T[1:])
    path = tmp_path / "w.pth"
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=new)
    got = read_checkpoint(path)
    assert got["half"].dtype.name == "bfloat16"
    np.testing.assert_array_equal(got.pop("half").astype(int), range(4))
    np.testing.assert_array_equal(got.pop("parameter"), np.ones((1, 2)))
    assert_same(got, values)


def test_against_torch_module(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(module.state_dict(), tmp_path / "w.pt")
    expected = {n: t.numpy() for n, t in module.state_dict().items()}
    assert_same(read_checkpoint(tmp_path / "w.pt"), expected)
    torch.save(module, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"m\.pt: refused.*Sequential"):
        read_checkpoint(tmp_path / "m.pt")


def test_missing_directory_suffix_empty(tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match=r"none\.pth: no such file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(ValueError, match="directory"):
        read_checkpoint(tmp_path)
    (tmp_path / "w.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"w\.onnx.*\.safetensors"):
        read_checkpoint(tmp_path / "w.onnx")
    for suffix in (".pth", ".pt", ".safetensors", ".npz"):
        for content in (b"", b"garbage", bytes(4096), b"PK\x03\x04" + bytes(100)):
            path = tmp_path / f"w{suffix}"
            path.write_bytes(content)
            with pytest.raises(ValueError, match=rf"^weights: .*w\{suffix}: "):
                read_checkpoint(path)


def test_a_negated_view_is_refused(craft, tmp_path):
    # What torch.save writes of the imaginary part of a conjugated tensor.
    call = craft.tensor("0", "float32", 2, (2,))
    negated = call._replace(arguments=(*call.arguments, {"neg": True}))
    path = tmp_path / "w.pth"
    path.write_bytes(craft.zip_file({"w": negated}, {"0": bytes(8)}))
    with pytest.raises(ValueError, match=r"w\.pth: .*negated .*resolve_neg"):
        read_checkpoint(path)


def test_no_opcode_allocates_what_it_announces(tmp_path):
    """Of a bytearray the length comes first, and it was allocated before it was read."""
    path = tmp_path / "w.pth"
    path.write_bytes(b"\x80\x05\x96" + (1 << 28).to_bytes(8, "little") + b".")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"w\.pth: truncated"):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
