"""A photograph file, whatever its format and bit depth, as upright 8-bit RGB."""

from __future__ import annotations

import io
import os
import pathlib
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from jaxattr._locations import as_path, is_folder, is_url
from jaxattr._pixels import to_rgb

if TYPE_CHECKING:
    from PIL import Image

_NO_PHOTOGRAPHS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow only recognises, or hands to a program that executes them."""
_SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")
_COMPANIONS = (".csv", ".tsv", ".txt", ".md", ".json", ".npz", ".ini", ".db")
"""Suffixes of what may lie beside photographs without being meant as one."""


class Unread(NamedTuple):
    """A file in a folder of photographs that was not read, and the reason."""

    path: pathlib.Path
    reason: str


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """What is in a photograph file.

    Raises:
      ValueError: the file is missing, a directory, or may not be read; the message
        starts with its path.
    """
    try:
        return as_path(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except PermissionError:
        raise ValueError(f"{path}: not allowed to read this file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: expected a photograph, got a directory") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({_one_line(error)})") from None


def read_photograph(
    path: str | os.PathLike[str], data: bytes | None = None
) -> Image.Image:
    """Reads any still image that Pillow reads.

    EXIF rotation is applied; greyscale, palette, CMYK and 16-bit files are converted;
    transparent pixels are laid on white; of an animation, or of several pages, the
    first is taken. Greys of over 8 bits whose white nobody has said are refused.

    Args:
      path: the file.
      data: what is in it, where it has been read already.

    Returns:
      A PIL image in mode ``RGB``, fully decoded: nothing is read later.

    Raises:
      ValueError: the file is missing, a directory, no image, or damaged; the message
        starts with its path.
      ImportError: Pillow is not installed; the message names the extra.
    """
    pillow = _pillow()
    Image = pillow.Image
    path = as_path(path)
    if data is None and is_url(path):
        data = read_bytes(path)
    if data is None and path.is_dir():
        raise ValueError(f"{path}: expected a photograph, got a directory")
    try:
        with Image.open(path if data is None else io.BytesIO(data)) as image:
            if image.format in _NO_PHOTOGRAPHS:
                raise ValueError(f"{image.format} is no photograph")
            return to_rgb(image, pillow)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except PermissionError:
        raise ValueError(f"{path}: not allowed to read this file") from None
    except Image.UnidentifiedImageError:
        empty = not (path.stat().st_size if data is None else data)
        reason = "the file is empty" if empty else "not an image that Pillow can read"
        raise ValueError(f"{path}: {reason}") from None
    except MemoryError:
        raise
    except Exception as error:
        # Decoders raise what they like on damaged files: OSError, SyntaxError,
        # struct.error, DecompressionBombError and more.
        raise ValueError(f"{path}: cannot be decoded ({_one_line(error)})") from None


def list_photographs(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The image files of a folder, by name; not of the folders inside it.

    Hidden files are no photographs: what macOS keeps beside them (``._cat.jpg``), and
    what phones have in their bin (``.trashed-cat.jpg``).

    Raises:
      ValueError: there is no such folder, or no image file in it.
    """
    folder = as_path(folder)
    if not is_folder(folder):
        raise ValueError(f"{folder}: expected a folder of photographs")
    files = [path for path in _visible_files(folder) if _is_photograph(path)]
    if not files:
        others = unread_files(folder)
        names = ", ".join(other.path.name for other in others[:3])
        named = f", only {names}" if others else ""
        raise ValueError(f"{folder}: no image file in this folder{named}")
    return files


def unread_files(folder: str | os.PathLike[str]) -> list[Unread]:
    """Files that :func:`list_photographs` leaves out and that may be meant as one.

    Not tables, texts and arrays, nor hidden files of other kinds.
    """
    folder = as_path(folder)
    others = [
        Unread(path, "no photograph by its suffix")
        for path in _visible_files(folder)
        if not _is_photograph(path) and path.suffix.lower() not in _COMPANIONS
    ]
    hidden = [
        Unread(path, "hidden")
        for path in sorted(folder.iterdir())
        if is_hidden(path) and path.is_file() and _is_photograph(path)
    ]
    return others + hidden


def is_hidden(path: pathlib.Path) -> bool:
    """Whether a file or folder is the system's own, and no user's."""
    return path.name.startswith(".") or path.name in _SYSTEM_FOLDERS


def _visible_files(folder: pathlib.Path) -> list[pathlib.Path]:
    # A folder with the suffix of a photograph is listed: reading it says what it is.
    return sorted(
        path
        for path in folder.iterdir()
        if not is_hidden(path) and (path.is_file() or _is_photograph(path))
    )


def _is_photograph(path: pathlib.Path) -> bool:
    """By its suffix, of a format that can be read."""
    Image = _pillow().Image
    format = Image.registered_extensions().get(path.suffix.lower())
    return (format in Image.OPEN and format not in _NO_PHOTOGRAPHS) or format == "MPO"


def _pillow() -> ModuleType:
    """The package ``PIL`` with what is needed of it."""
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise ImportError(
            "reading photographs needs Pillow: pip install 'jaxattr[app]'"
        ) from None
    return PIL


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
