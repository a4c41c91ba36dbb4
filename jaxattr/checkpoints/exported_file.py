"""Programs that ``jax.export`` wrote, read and looked through before one is run.

The format is a table of flatbuffers: the shapes of arguments and results, the platforms,
and the program in StableHLO, once for the function and once more for each order of its
derivatives. Reading it executes nothing: names of containers are looked up, not imported.
Running it is another matter. A StableHLO program may call into the process that runs it,
by the name of a routine (a *custom call*), and a callback into Python takes an address.
So a program that calls anything but the routines whose meaning JAX guarantees is refused.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
from jax import export
from jax.extend.mlir import deserialize_portable_artifact, ir

MAGIC = b"ML\xefR"
"""With which MLIR's bytecode begins."""
STABLE_CALLS = (
    # Notes on how arrays are laid over devices.
    *("Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape"),
    *("annotate_device_placement", "AllocateBuffer"),
    # Operations of StableHLO itself, of arrays whose shapes are symbols.
    *("shape_assertion", "stablehlo.dynamic_reduce_window"),
    *("stablehlo.dynamic_rng_bit_generator", "stablehlo.dynamic_top_k"),
    *("stablehlo.dynamic_approx_top_k", "ApproxTopK"),
    # Random numbers and matrix decompositions.
    *("cu_threefry2x32_ffi", "hip_threefry2x32_ffi"),
    *("Eigh", "Qr", "ProductOfElementaryHouseholderReflectors", "LuDecomposition"),
)
STABLE_PREFIXES = (
    "lapack_",
    "cusolver_",
    "hipsolver_",
    "cublas_",
    "hipblas_",
    "cu_lu_",
)
"""Of the routines of linear algebra that JAX keeps stable."""


def read_exported(path: str | os.PathLike[str]) -> export.Exported:
    """A program of ``jax.export``, with the derivatives that the file has.

    Args:
      path: what ``jax.export.Exported.serialize`` gave, in a file.

    Returns:
      The program; nothing of it has been run.

    Raises:
      ImportError: without ``flatbuffers`` (the extra ``export``).
      ValueError: that names the file and what is wrong with it: missing, a directory, no
        program of ``jax.export``, one of a version that this JAX does not read, one for
        other platforms or several devices, or one that calls what is not known to be
        harmless.
    """
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"path: {path}: no such file") from None
    except OSError as error:
        raise ValueError(f"path: {path}: {error.strerror or error}") from None
    exported = _deserialize(data, path)
    _check_version(exported, path)
    _check_devices(exported, path)
    for program in orders(exported):
        _check_calls(program, path)
    return exported


def orders(exported: export.Exported) -> Iterator[export.Exported]:
    """A program, its derivative, the derivative of that, as far as there are any."""
    program: export.Exported | None = exported
    while program is not None:
        yield program
        program = program.vjp() if program.has_vjp() else None


def need_flatbuffers() -> None:
    """Raises ``ImportError`` where the format cannot be read or written."""
    try:
        import flatbuffers  # noqa: F401
    except ImportError:
        raise ImportError(
            'programs of jax.export need flatbuffers: pip install "jaxattr[export]"'
        ) from None


def _deserialize(data: bytes, path: pathlib.Path) -> export.Exported:
    need_flatbuffers()
    try:
        exported = export.deserialize(bytearray(data))
    except Exception as error:
        # Of what is no such table the reader says so in many ways.
        reason = f" ({error})" if isinstance(error, ValueError) and str(error) else ""
        raise ValueError(
            f"path: {path}: expected a program written by jax.export "
            f"(Exported.serialize), got {len(data)} bytes that are none, or are of "
            f"another version of the format{reason}"
        ) from None
    if not all(p.mlir_module_serialized.startswith(MAGIC) for p in orders(exported)):
        raise ValueError(
            f"path: {path}: expected a program written by jax.export, got a file "
            "without StableHLO bytecode"
        )
    return exported


def _check_version(exported: export.Exported, path: pathlib.Path) -> None:
    low = export.minimum_supported_calling_convention_version
    high = export.maximum_supported_calling_convention_version
    version = exported.calling_convention_version
    if not low <= version <= high:
        raise ValueError(
            f"path: {path}: its calling convention has version {version}, and JAX "
            f"{jax.__version__} reads {low} to {high}: export it once more with a JAX "
            "of about this age"
        )


def _check_devices(exported: export.Exported, path: pathlib.Path) -> None:
    if exported.nr_devices != 1:
        raise ValueError(
            f"path: {path}: expected a program for one device, which may then be "
            f"sharded, got one exported for {exported.nr_devices}"
        )
    here = _platform()
    unchecked = export.DisabledSafetyCheck.platform()
    if here not in exported.platforms and (
        unchecked not in exported.disabled_safety_checks
    ):
        wanted = tuple(dict.fromkeys((*exported.platforms, here)))
        raise ValueError(
            f"path: {path}: exported for {' and '.join(exported.platforms)}, and this "
            f"process computes on {here}: export it with platforms={wanted}"
        )


def _platform() -> str:
    """Where arrays go by default, in the words of ``jax.export``."""
    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    platform = device if isinstance(device, str) else getattr(device, "platform", None)
    if platform in (None, "gpu", jax.default_backend()):
        return export.default_export_platform()
    return platform


def _check_calls(exported: export.Exported, path: pathlib.Path) -> None:
    """Refuses a program that leaves StableHLO for anything but what JAX guarantees."""
    unknown = sorted(set(_custom_calls(exported, path)))
    if unknown:
        raise ValueError(
            f"path: {path}: it calls {', '.join(unknown)}, which is no part of "
            "StableHLO and may run anything in this process; export a function without "
            "callbacks and kernels of your own"
        )


def _custom_calls(exported: export.Exported, path: pathlib.Path) -> list[str]:
    """The routines by name that a program calls and that are not known to be stable."""
    from jax.interpreters import mlir

    found: list[str] = []

    def look(operation: ir.Operation) -> ir.WalkResult:
        if operation.name == "stablehlo.custom_call":
            target = ir.StringAttr(operation.attributes["call_target_name"]).value
            if target not in STABLE_CALLS and not target.startswith(STABLE_PREFIXES):
                found.append(target)
        return ir.WalkResult.ADVANCE

    with mlir.make_ir_context():
        try:
            module = deserialize_portable_artifact(exported.mlir_module_serialized)
        except Exception as error:
            raise ValueError(
                f"path: {path}: JAX {jax.__version__} does not read its StableHLO, "
                f"which is damaged or of a newer version ({error})"
            ) from None
        module.operation.walk(look)
    return found
