"""Strict settings for every test, and the few things that many of them share."""

import gc
import os

# Before jax is imported: four CPU devices, so that sharding is tested everywhere.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
# Commands keep no compiled programs: what a test measures does not depend on the last.
os.environ["JAXATTR_COMPILE_CACHE"] = "off"
# Compiling is what costs here, and a test's programs run once. `make test-all OPTIMIZED=1`
# compiles as users do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import pathlib

import kept_programs
import xla_flags

# Kernels are made by XLA's older emitters, in 40 % of the time that the newer ones take.
if os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1" and xla_flags.is_known(
    "xla_cpu_use_fusion_emitters"
):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

os.environ.update(kept_programs.settings())

import hypothesis
import jax
import pytest

from jaxattr.commands import _compile_cache

# Drawn examples are few and the same each time. HYPOTHESIS_PROFILE=thorough draws others,
# by the hundred.
hypothesis.settings.register_profile(
    "cheap", max_examples=8, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile("thorough", max_examples=300, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "cheap"))

# Run by hand, with packages that nothing else needs.
collect_ignore = [
    "fuzz",
    *("models/cifar_networks.py", "models/stem_networks.py", "models/torch_parity.py"),
]
collect_ignore_glob = ["**/make_*.py"]

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


# Rooms whose functions each have tests of their values beside the example in the docstring.
PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "jaxattr"
DEAR_EXAMPLES = [PACKAGE / room for room in ("attributions", "certificates", "metrics")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Compiling their examples takes a tenth of the suite: slow unless a file is named."""
    named = {
        pathlib.Path(argument.split("::")[0]).resolve() for argument in config.args
    }
    if any(PACKAGE in path.parents for path in named):
        return
    for item in items:
        is_example = isinstance(item, pytest.DoctestItem)
        if is_example and not {*DEAR_EXAMPLES}.isdisjoint(item.path.parents):
            item.add_marker(pytest.mark.slow)


def pytest_sessionfinish(session):
    place = kept_programs.folder()
    if place is not None and not hasattr(session.config, "workerinput"):
        _compile_cache.remove_oldest(place, kept_programs.MAX_BYTES)


# A process may map so many pieces of memory (65 530 by default on Linux), and a compiled
# program is several.
MOST_MAPPED = 40_000


def pytest_runtest_teardown(item, nextitem):
    """Compiled programs are dropped at the end of a file, where there are many."""
    if nextitem is not None and nextitem.path == item.path:
        return
    try:
        mapped = pathlib.Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        mapped = MOST_MAPPED  # another system: there they are dropped after every file
    if mapped >= MOST_MAPPED:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def assets() -> pathlib.Path:
    """The folder of real weights and labelled photographs, where there is one."""
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared" / "assets"
    folder = pathlib.Path(os.environ.get("JAXATTR_ASSETS", beside))
    if not folder.is_dir():
        pytest.skip(
            f"needs a folder of weights and photographs (JAXATTR_ASSETS={folder})"
        )
    return folder
