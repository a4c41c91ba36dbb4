"""Coverage-guided fuzzing of the file readers, by hand: pytest does not collect it.

``python tests/fuzz/fuzz_readers.py TARGET [SECONDS] [FOLDER]`` mutates small valid files
for so long (60), and stops at the first that is not answered as it should be. It needs
atheris (``pip install atheris``), which has wheels for Linux and CPython 3.11 to 3.13 at
the time of writing; where there is none this script says so and ends. What it finds of
interest is kept in FOLDER, so that another run goes on from there.

A reader gives a result of bounded size or a ``ValueError`` of one line. Where the format
has a reader of its own, what that refuses is refused, and what both read is the same.
"""

from __future__ import annotations

import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
MOST_BYTES = 1 << 22
"""Of a result; inputs have at most 4,096 bytes."""
ARRAYS = {"a.weight": np.ones((2, 3), np.float32), "b": np.arange(4, dtype=np.float16)}
Arrays = Mapping[str, np.ndarray]


def _zip_of(entries: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _craft() -> Any:
    """Writers of torch's layouts, which the tests of the readers have."""
    path = HERE.parent / "checkpoints" / "conftest.py"
    spec = importlib.util.spec_from_file_location("craft", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Each target: the seeds, from a mutated input to the file, and the reference reader.


def torch_seeds() -> Iterable[bytes]:
    """The zip layout and the one before it."""
    craft = _craft()
    raw = craft.raw_storages(ARRAYS)
    yield craft.zip_file(craft.state_dict(ARRAYS, legacy=False), raw)
    yield craft.legacy_file(craft.state_dict(ARRAYS, legacy=True), raw, {"1": 2})


def pickle_seeds() -> Iterable[bytes]:
    """The pickle of a zip file alone: checksums would stop most mutations of the file."""
    craft = _craft()
    state = craft.state_dict(ARRAYS, legacy=False)
    yield craft.pickled(state)
    yield craft.pickled({"state_dict": state, "epoch": 3})


def pickle_file(data: bytes) -> bytes:
    """A whole file of torch around a pickle."""
    storages = {f"archive/data/{i}": bytes(24) for i in range(2)}
    return _zip_of({"archive/data.pkl": data, **storages})


def safetensors_seeds() -> Iterable[bytes]:
    """The header alone; the body is zeros."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    entries["a"] = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    entries["b"] = {"dtype": "BF16", "shape": [20], "data_offsets": [24, 64]}
    yield json.dumps(entries).encode()
    yield b'{"b":{"dtype":"I8","shape":[64],"data_offsets":[0,64]}}  '
    yield b'{"\\u00e9":{"dtype":"U8","shape":[0,3],"data_offsets":[0,0]}}'


def safetensors_file(header: bytes) -> bytes:
    """A whole file around a header."""
    return len(header).to_bytes(8, "little") + header + bytes(64)


def safetensors_reference(data: bytes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Shapes, by the format's own reader."""
    from safetensors import deserialize

    return {k: ("", tuple(entry["shape"])) for k, entry in deserialize(data)}


def npy_seeds() -> Iterable[bytes]:
    """One array of an archive."""
    for array in (*ARRAYS.values(), np.asfortranarray(np.eye(3, dtype=">i4"))):
        stream = io.BytesIO()
        np.save(stream, array)
        yield stream.getvalue()


def npy_file(data: bytes) -> bytes:
    """An archive around an array."""
    return _zip_of({"a.npy": data})


def npz_seeds() -> Iterable[bytes]:
    """Whole archives."""
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **ARRAYS)
        yield stream.getvalue()


def npz_reference(data: bytes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Kinds and shapes, by NumPy."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    kind = lambda array: "f" if array.dtype == "V2" else array.dtype.kind
    return {name: (kind(array), array.shape) for name, array in arrays.items()}


def photograph_seeds() -> Iterable[bytes]:
    """Formats, modes and bit depths."""
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    rgb = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[274] = 6
    palette = rgb.convert("P")
    palette.info["transparency"] = 3
    wide = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    images: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "JPEG", {"exif": exif}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (palette, "PNG", {}),
        (wide, "PNG", {}),
        (wide, "TIFF", {}),
        (rgb.convert("RGBA"), "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "GIF", {"save_all": True, "append_images": [rgb.convert("1")]}),
        *((rgb, format, {}) for format in ("BMP", "WEBP", "PPM", "TGA", "ICO", "PCX")),
    ]
    for image, format, options in images:
        stream = io.BytesIO()
        image.save(stream, format, **options)
        yield stream.getvalue()


TARGETS: dict[str, tuple[Callable[[], Iterable[bytes]], Any, Any, str]] = {
    "torch": (torch_seeds, bytes, None, ".pt"),
    "pickle": (pickle_seeds, pickle_file, None, ".pt"),
    "safetensors": (
        *(safetensors_seeds, safetensors_file, safetensors_reference),
        ".safetensors",
    ),
    "npy": (npy_seeds, npy_file, npz_reference, ".npz"),
    "npz": (npz_seeds, bytes, npz_reference, ".npz"),
    "photograph": (photograph_seeds, bytes, None, ".jpg"),
}


def check(read: Callable[[bytes], Any], data: bytes, reference: Any) -> None:
    """What a reader must do with any file."""
    try:
        found = read(data)
    except ValueError as error:
        assert "\n" not in str(error), error
        return
    if not isinstance(found, dict):
        assert found.mode == "RGB", found
        return
    assert sum(array.nbytes for array in found.values()) <= MOST_BYTES
    if reference is not None:
        # Of names that end in it NumPy drops ``.npy``, and we a leading ``module.``.
        expected = reference(data)
        shapes = lambda arrays: sorted(shape for _, shape in arrays)
        ours = [(a.dtype.kind, a.shape) for a in found.values()]
        assert shapes(ours) == shapes(expected.values()), (found, expected)


def _reader(suffix: str, folder: pathlib.Path) -> Callable[[bytes], Any]:
    """From a file's content to what is read; Pillow alone needs a file."""
    from jaxattr.checkpoints import reading
    from jaxattr.photographs.reading import read_photograph

    if suffix in reading._READERS:
        return reading._READERS[suffix]
    path = folder / f"mutated{suffix}"

    def read(data: bytes) -> Any:
        path.write_bytes(data)
        return read_photograph(path)

    return read


def main() -> None:
    """Fuzzes one target."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"{__doc__}\ntargets: {', '.join(TARGETS)}")
    try:
        import atheris
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        raise SystemExit(
            f"atheris is not installed for Python {version}: pip install atheris; "
            "tests/*/test_damaged_files.py mutate files without it"
        ) from None
    packages = ["jaxattr.checkpoints", "jaxattr.photographs", "jaxattr._pixels"]
    with atheris.instrument_imports(include=packages):
        import jaxattr.checkpoints.reading
        import jaxattr.photographs.reading  # noqa: F401

    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    seeds, as_file, reference, suffix = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else folder)
        corpus.mkdir(exist_ok=True)
        for i, seed in enumerate(seeds()):
            (corpus / f"seed{i}").write_bytes(seed)
        read = _reader(suffix, pathlib.Path(folder))

        def test(data: bytes) -> None:
            check(read, as_file(data), reference)

        options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20"]
        atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=3000", str(corpus)], test)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
