"""Notebooks run from the first cell to the last, and are kept without outputs."""

import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(request.param, as_version=4)


def test_there_is_one():
    assert "quickstart.ipynb" in [path.name for path in NOTEBOOKS]


def test_no_outputs_are_kept(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
# The kernel is a process of its own; zmq and asyncio warn about their loop on exit.
@pytest.mark.filterwarnings("default")
def test_runs(notebook, tmp_path, monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient

    # This interpreter, whatever kernels the machine has under the name python3.
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = KernelSpecManager().get_kernel_spec("python3")
    spec.argv = command
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: spec)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    # What the tests set for themselves is not for the kernel.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    client = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(shown) == 3
