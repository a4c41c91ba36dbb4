"""The page of ``jaxattr boundary``: photographs and the points behind the boundary."""

from __future__ import annotations

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxattr.report import pictures
from jaxattr.report.blocks import (
    Column,
    Gallery,
    Map,
    Number,
    Page,
    Photograph,
    Table,
    number,
)
from jaxattr.report.explain import lacking
from jaxattr.report.kinds import Folder

FIELDS = ("photograph", "model", "image", "point", "distance", "found", "bsm", "big")


def page(folder: Folder) -> Page:
    """Reads every ``STEM.boundary.npz`` of the folder.

    Raises:
      ValueError: not one that can be read.
    """
    files = sorted(folder.path.glob("*.boundary.npz"))
    scale = pictures.fitting(len(files), _bytes_of(files))
    photographs: list[Photograph] = []
    rows: list[list[str | Number]] = []
    unread: list[str] = []
    first: Mapping[str, np.ndarray] = {}
    for path in files:
        try:
            fields = _read(path)
        except ValueError as error:
            unread.append(str(error))
            continue
        first = first or fields
        if len(photographs) < scale.photographs:
            photographs.append(_photograph(fields, scale.side))
        change = float(np.abs(fields["point"] - fields["image"]).max())
        rows.append(
            [
                pathlib.Path(str(fields["photograph"])).name,
                str(fields["label_name"]),
                str(fields["behind_name"]) or "none found",
                number(fields["distance"]),
                number(255 * change) if fields["found"] else None,
                str(fields["member"]) or "–",
            ]
        )
    if not rows:
        reason = unread[0] if unread else "no .boundary.npz"
        raise ValueError(f"{folder.path}: no boundary point can be read; {reason}")
    columns = [
        Column("photograph"),
        Column("class"),
        Column("class behind"),
        Column("distance", True, "Euclidean, in pixel units"),
        Column("largest change", True, "of a value, in 1/255"),
        Column("found by"),
    ]
    note = (
        "BSM: the gradient at the nearest point of another class. BIG: integrated "
        "gradients from that point."
    )
    if len(photographs) < len(rows):
        note += (
            f" {len(photographs):,} of {len(rows):,} photographs, so that the file stays "
            "small."
        )
    gallery = Gallery(
        "Photographs",
        ("BSM", "BIG"),
        (),
        photographs,
        "behind the boundary",
        note,
    )
    none = sum(row[2] == "none found" for row in rows)
    return Page(
        f"Nearest boundaries: {len(rows)} photograph{'s' * (len(rows) != 1)}",
        f"{first['model']}; no boundary was found for {none}."
        if none
        else f"{first['model']}; a boundary was found for each.",
        [*unread, *lacking(folder, [str(row[0]) for row in rows])],
        [gallery, Table("Distances", columns, rows)],
        [
            ("model", str(first["model"])),
            ("search", ", ".join(str(name) for name in np.ravel(first["search"]))),
            ("jaxattr", str(first["version"])),
        ],
    )


def _bytes_of(files: Sequence[pathlib.Path]) -> Callable[[int], float]:
    """Side of the pictures to the mean bytes of a photograph with its three others."""
    some = []
    for path in pictures.sample(files):
        with contextlib.suppress(ValueError):
            some.append(_read(path))

    def mean(side: int) -> float:
        sizes = [len(json.dumps(_photograph(fields, side))) for fields in some]
        return sum(sizes) / max(1, len(sizes))

    return mean


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a boundary point ({error})") from None
    lacking = [name for name in FIELDS if name not in fields]
    if lacking:
        raise ValueError(f"{path}: not a boundary point (no {lacking[0]})")
    return fields


def _photograph(fields: Mapping[str, np.ndarray], side: int) -> Photograph:
    found = bool(fields["found"])
    maps = {}
    for name in ("BSM", "BIG") if found else ():
        picture, limit = pictures.overlay(fields[name.lower()], side)
        maps[name] = Map(picture, limit, {})
    behind = str(fields["behind_name"]) if found else "none found"
    facts = {"behind": behind}
    if not found and str(fields.get("reason", "")):
        facts["why"] = str(fields["reason"])
    if found:
        facts["distance"] = f"{float(fields['distance']):.3f}"
    return Photograph(
        pathlib.Path(str(fields["photograph"])).name,
        str(fields["label_name"]),
        pictures.photograph(fields["image"], side),
        facts,
        maps,
        pictures.photograph(fields["point"], side) if found else "",
    )
