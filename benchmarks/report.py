"""A table on the terminal and in ``benchmarks/results``, with what makes it again."""

from __future__ import annotations

import os
import pathlib
import platform
import sys
from collections.abc import Sequence

import jax
import jaxlib
import numpy as np

import jaxattr

RESULTS = pathlib.Path(__file__).parent / "results"


def setting(seed: int | None) -> str:
    """Versions, hardware, command and seed, a line each."""
    lines = [
        f"command: python {program()} {' '.join(sys.argv[1:])}".rstrip(),
        f"versions: jaxattr {jaxattr.__version__}, jax {jax.__version__}, jaxlib "
        f"{jaxlib.__version__}, numpy {np.__version__}, Python {platform.python_version()}",
        f"hardware: {jax.devices()[0].device_kind}, {processor()}, "
        f"{len(os.sched_getaffinity(0))} cores",
        f"seed: {'none drawn' if seed is None else seed}",
    ]
    for name in ("XLA_FLAGS", "GLIBC_TUNABLES"):
        if os.environ.get(name):
            lines.append(f"{name}: {os.environ[name]}")
    return "\n".join(f"- {line}" for line in lines)


def program() -> str:
    """A module after ``-m``, or a script."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"-m {spec.name.removesuffix('.__main__')}" if spec else sys.argv[0]


def processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table that reads well as text: columns padded, numbers to the right."""
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [
        all(row[i][:1] in "-0123456789" for row in cells[1:] if row[i])
        for i in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        padded = (
            c.rjust(w) if right else c.ljust(w)
            for c, w, right in zip(row, widths, numeric, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (w - 1) + ":" if right else "-" * w
        for w, right in zip(widths, numeric, strict=True)
    ]
    return "\n".join([line(cells[0]), f"| {' | '.join(rule)} |", *map(line, cells[1:])])


def write(
    name: str, title: str, sections: Sequence[tuple[str, str]], seed: int | None
) -> None:
    """Print and save ``results/NAME.md``: the title, the setting, a section each."""
    parts = [f"# {title}", setting(seed)]
    for heading, body in sections:
        parts += [f"## {heading}", body] if heading else [body]
    text = "\n\n".join(parts) + "\n"
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)
    print(text)
